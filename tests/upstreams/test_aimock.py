"""A mock of Anthropic, Azure, Bedrock and Gemini that is somebody else's code (https://aimock.copilotkit.dev), behind the wire formats."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from completions_mw import Settings
from tests.clients.node_clients import install
from tests.faults.conftest import KEY, UPSTREAM_KEY, AsyncClient, BlockingClient
from tests.support.grammar import check_completion, check_stream
from tests.support.process import free_port, serve

pytestmark = pytest.mark.soak

FOLDER = Path(__file__).parent / "aimock"
TEXT = "The train leaves at nine in the morning."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
APIS = {
    "openai": {"base_url": "{}/v1"},
    "azure": {"base_url": "{}", "api_version": "2024-10-21"},
    "anthropic": {"base_url": "{}/v1"},
    "gemini": {"base_url": "{}/v1beta"},
    "bedrock": {"base_url": "{}", "region": "eu-central-1"},
}
MODELS = {"anthropic": "claude-sonnet-5-5", "bedrock": "anthropic.claude-sonnet-5-5-v1:0", "gemini": "gemini-2.5-flash"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    install(FOLDER)
    port = free_port()
    command = ["node", "node_modules/@copilotkit/aimock/dist/cli.js", "--fixtures", "fixtures.json", "--port", str(port)]
    with serve(command, ready=port, cwd=FOLDER):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module", params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def client(request: pytest.FixtureRequest, url: str) -> Iterator[BlockingClient | AsyncClient]:
    providers: dict[str, Any] = {
        api: {"api": api, "api_key": UPSTREAM_KEY, **more, "base_url": more["base_url"].format(url)} for api, more in APIS.items()
    }
    models = {api: {"targets": [f"{api}/{MODELS.get(api, 'some-model')}"]} for api in APIS}
    made = request.param(Settings(providers=providers, models=models, keys={"client": {"secret": KEY}}))
    yield made
    made.close()


every_api = pytest.mark.parametrize("api", APIS)


@every_api
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_an_answer(client: BlockingClient | AsyncClient, api: str, stream: bool) -> None:
    answer = client.post(api, "When does the train leave?", stream=stream)
    assert answer.status == 200, answer.body
    if stream:
        streamed = check_stream(answer.body)
        assert (streamed.texts, streamed.finish_reasons) == ({0: TEXT}, {0: "stop"})
    else:
        assert check_completion(answer.body)["choices"][0]["message"]["content"] == TEXT


@every_api
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_parallel_calls(client: BlockingClient | AsyncClient, api: str, stream: bool) -> None:
    answer = client.post(api, "What is the weather?", tools=TOOLS, stream=stream)
    assert answer.status == 200, answer.body
    if stream:
        calls = check_stream(answer.body).calls[0]
    else:
        calls = [call["function"] for call in check_completion(answer.body)["choices"][0]["message"]["tool_calls"]]
    assert [(call["name"], from_json(call["arguments"])) for call in calls] == [("weather", {"city": "Ulm"}), ("weather", {"city": "Bonn"})]


@every_api
def test_a_refusal(client: BlockingClient | AsyncClient, api: str) -> None:
    answer = client.post(api, "Are you busy?")
    assert (answer.status, answer.error["code"]) == (429, "upstream_rate_limited")
