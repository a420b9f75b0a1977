"""Anthropic's Messages API of llama.cpp's server, with a real model that calls a tool, behind the `anthropic` provider."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from completions_mw import Settings
from tests.faults.conftest import KEY, UPSTREAM_KEY, AsyncClient, BlockingClient
from tests.support.examples import needs_local_model
from tests.support.grammar import check_completion, check_stream
from tests.support.llama_server import MODEL, llama_server

pytestmark = needs_local_model

# The model's own template has no tools.
TEMPLATE = """{%- if tools %}<|im_start|>system
You may call these functions: <tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>
Return each call as <tool_call>{"name": <name>, "arguments": <object>}</tool_call>.<|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}{% if message.tool_calls %}{% for call in message.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather of a city", "parameters": SCHEMA}}]
HELPFUL = {"role": "system", "content": "You are a helpful assistant."}
PARIS = [HELPFUL, {"role": "user", "content": "What is the capital of France?"}]


def asked(city: str) -> dict[str, Any]:
    return {"role": "user", "content": f"What is the weather in {city}?"}


def answered(city: str, id: str, weather: str) -> list[dict[str, Any]]:
    """Return a conversation in which the tool was called: the small model does as it sees it done."""
    call = {"id": id, "type": "function", "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'}}
    return [
        asked(city),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id, "content": weather},
        {"role": "assistant", "content": weather},
    ]


WEATHER = [HELPFUL, *answered("Rome", "toolu_1", "sun"), *answered("Oslo", "toolu_2", "snow"), asked("Paris")]


@pytest.fixture(scope="module")
def server() -> Any:
    return llama_server(UPSTREAM_KEY, context=1024, chat_template=TEMPLATE)


@pytest.fixture(scope="module", params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[BlockingClient | AsyncClient]:
    provider = {"api": "anthropic", "base_url": f"{server.listening_address}/v1", "version": "2023-06-01", "auth": "bearer"}
    settings = Settings(
        providers={"up": {**provider, "api_key": UPSTREAM_KEY}, "wrong": {**provider, "api_key": "sk-wrong-0123456789"}},
        models={name: {"targets": [f"{name}/{MODEL}"], "max_output_tokens": 64} for name in ("up", "wrong")},
        keys={"client": {"secret": KEY}},
    )
    made = request.param(settings)
    yield made
    made.close()


def test_a_whole_answer(client: BlockingClient | AsyncClient) -> None:
    answer = client.post("up", messages=PARIS, temperature=0)
    completion = check_completion(answer.body)
    ChatCompletion.model_validate(completion, strict=True)
    assert "Paris" in answer.text
    assert completion["choices"][0]["finish_reason"] == "stop"


def test_a_stream(client: BlockingClient | AsyncClient) -> None:
    answer = client.post("up", messages=PARIS, temperature=0, stream=True, stream_options={"include_usage": True})
    streamed = check_stream(answer.body, include_usage=True)
    for chunk in streamed.chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    assert "Paris" in streamed.texts[0]
    assert streamed.usage is not None
    assert streamed.usage["completion_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_call_of_a_tool(client: BlockingClient | AsyncClient, stream: bool) -> None:
    answer = client.post("up", messages=WEATHER, tools=TOOLS, temperature=0, stream=stream)
    if stream:
        streamed = check_stream(answer.body)
        [call], reason = streamed.calls[0], streamed.finish_reasons[0]
    else:
        [choice] = check_completion(answer.body)["choices"]
        [call], reason = [made["function"] for made in choice["message"]["tool_calls"]], choice["finish_reason"]
    assert (call["name"], reason) == ("weather", "tool_calls")
    assert "Paris" in call["arguments"]


def test_errors(client: BlockingClient | AsyncClient) -> None:
    too_long = client.post("up", "long " * 2000)
    assert (too_long.status, too_long.error["code"]) == (400, "context_length_exceeded")
    wrong_key = client.post("wrong")
    assert (wrong_key.status, wrong_key.error["code"]) == (502, "upstream_error")
