"""llama.cpp's HTTP server, somebody else's code with a real language model, behind the `openai` provider."""

import asyncio
import json
import struct
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from completions_mw import AsyncGateway, Gateway, Settings
from completions_mw.http import Request
from tests.support.envelope import check_error
from tests.support.examples import needs_local_model
from tests.support.grammar import check_stream
from tests.support.llama_server import llama_server

pytestmark = needs_local_model

UPSTREAM_KEY = "sk-llama-0123456789"
KEY = "sk-client-0123456789"
PARIS = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
PROMPT_TOKENS = 27
CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"], "additionalProperties": False}


class Answer(NamedTuple):
    """What a gateway answered."""

    status: int
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


Ask = Callable[[Settings, Request], Answer]


def blocking(settings: Settings, request: Request) -> Answer:
    with Gateway(settings) as gateway:
        response = gateway.handle(request)
        return Answer(response.status, response.body if isinstance(response.body, bytes) else b"".join(response.body))


def on_asyncio(settings: Settings, request: Request) -> Answer:
    async def main() -> Answer:
        async with AsyncGateway(settings) as gateway:
            return await _ask(gateway, request)

    return asyncio.run(main())


async def _ask(gateway: AsyncGateway, request: Request) -> Answer:
    response = await gateway.handle(request)
    body = response.body
    if isinstance(body, bytes):
        return Answer(response.status, body)
    pieces: list[bytes] = []
    while True:
        try:
            pieces.append(await body.__anext__())
        except StopAsyncIteration:
            await body.aclose()
            return Answer(response.status, b"".join(pieces))


every_way = pytest.mark.parametrize("ask", [blocking, on_asyncio], ids=["blocking", "asyncio"])


@pytest.fixture(scope="module")
def server() -> Any:
    return llama_server(UPSTREAM_KEY, embeddings=True)


@pytest.fixture(scope="module")
def url(server: Any) -> str:
    return f"{server.listening_address}/v1"


def settings(url: str, api_key: str = UPSTREAM_KEY) -> Settings:
    return Settings(
        providers={"llama": {"api": "openai", "base_url": url, "api_key": api_key}},
        models={"gpt-3.5-turbo": {"targets": ["llama/smollm2"]}, "embed": {"targets": ["llama/smollm2"], "kind": "embeddings"}},
        keys={"client": {"secret": KEY}},
    )


def chat(**fields: Any) -> Request:
    body = {"model": "gpt-3.5-turbo", "messages": PARIS, "temperature": 0, "max_tokens": 32, **fields}
    headers = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"))
    return Request("POST", "/api/v1/chat/completions", headers, json.dumps(body).encode())


@every_way
@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings(url: str, ask: Ask, form: str) -> None:
    def embed(given: Any, **fields: Any) -> Answer:
        body = {"model": "embed", "input": given, "encoding_format": form, **fields}
        return ask(settings(url), replace(chat(), path="/api/v1/embeddings", body=json.dumps(body).encode()))

    answer = embed(["a dog", "a dog", "tax law"])
    assert answer.status == 200
    assert (answer.json["object"], answer.json["model"]) == ("list", "embed")
    assert answer.json["usage"]["prompt_tokens"] == answer.json["usage"]["total_tokens"] > 3
    vectors = [item["embedding"] for item in answer.json["data"]]
    if form == "base64":
        vectors = [list(struct.unpack("<576f", b64decode(vector))) for vector in vectors]
    dog, same, law = vectors
    assert dog == pytest.approx(same)
    assert dog != pytest.approx(law)
    # llama.cpp takes the parameter, and does nothing about it.
    refused = embed("a dog", dimensions=8)
    assert refused.status == 400
    check_error(refused.json)
    assert refused.json["error"]["message"] == "This model does not support specifying dimensions."


def check_usage(usage: dict[str, int] | None) -> None:
    assert usage is not None
    assert usage["prompt_tokens"] == PROMPT_TOKENS
    assert 0 < usage["completion_tokens"] == usage["total_tokens"] - PROMPT_TOKENS


@every_way
def test_json(url: str, ask: Ask) -> None:
    answer = ask(settings(url), chat())
    assert answer.status == 200
    completion = answer.json
    ChatCompletion.model_validate(completion)
    assert completion["object"] == "chat.completion"
    assert completion["model"] == "gpt-3.5-turbo"
    [choice] = completion["choices"]
    assert "Paris" in choice["message"]["content"]
    assert choice["finish_reason"] == "stop"
    check_usage(completion["usage"])


@every_way
@pytest.mark.parametrize("include_usage", [False, True], ids=["plain", "usage"])
def test_stream(url: str, ask: Ask, include_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    answer = ask(settings(url), chat(stream=True, **options))
    assert answer.status == 200
    streamed = check_stream(answer.body, include_usage=include_usage)
    for chunk in streamed.chunks:
        ChatCompletionChunk.model_validate(chunk)
    assert {chunk["model"] for chunk in streamed.chunks} == {"gpt-3.5-turbo"}
    assert streamed.chunks[0]["choices"][0]["delta"]["content"] is None
    assert "Paris" in streamed.texts[0]
    assert streamed.finish_reasons == {0: "stop"}
    # Word by word: more than a role, one text and a reason.
    assert len(streamed.chunks) > 3
    if include_usage:
        check_usage(streamed.usage)


@every_way
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_length(url: str, ask: Ask, stream: bool) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    answer = ask(settings(url), chat(max_tokens=2, **options))
    if stream:
        streamed = check_stream(answer.body, include_usage=True)
        reason, usage = streamed.finish_reasons[0], streamed.usage
    else:
        reason, usage = answer.json["choices"][0]["finish_reason"], answer.json["usage"]
    assert reason == "length"
    assert usage is not None
    assert usage["completion_tokens"] == 2


@every_way
def test_structured_output(url: str, ask: Ask) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    [choice] = ask(settings(url), chat(response_format=response_format)).json["choices"]
    assert json.loads(choice["message"]["content"]).keys() == {"city"}


@every_way
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_prompt_that_is_too_long(url: str, ask: Ask, stream: bool) -> None:
    """The client can fix it, so it is told what the upstream said."""
    answer = ask(settings(url), chat(messages=[{"role": "user", "content": "long " * 600}], stream=stream))
    assert answer.status == 400
    check_error(answer.json)
    assert "exceeds the available context size" in answer.json["error"]["message"]


@every_way
def test_wrong_key_of_ours(url: str, ask: Ask) -> None:
    """Only the operator can fix it, and the client did nothing wrong."""
    answer = ask(settings(url, "sk-wrong-0123456789"), chat())
    assert answer.status == 502
    check_error(answer.json)
    assert answer.json["error"]["code"] == "upstream_error"
    assert b"API Key" not in answer.body


def test_direct_calls(url: str) -> None:
    question: dict[str, Any] = {"model": "gpt-3.5-turbo", "messages": PARIS, "temperature": 0, "max_tokens": 32}
    with Gateway(settings(url)) as gateway:
        completion = gateway.complete(**question)
        with gateway.stream(**question) as stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "Paris" in str(completion.choices[0].message.content)
    assert "Paris" in text


def test_async_direct_calls(url: str) -> None:
    question: dict[str, Any] = {"model": "gpt-3.5-turbo", "messages": PARIS, "temperature": 0, "max_tokens": 32}

    async def main() -> tuple[str, str]:
        async with AsyncGateway(settings(url)) as gateway:
            completion = await gateway.complete(**question)
            async with gateway.stream(**question) as stream:
                text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            return str(completion.choices[0].message.content), text

    assert all("Paris" in answer for answer in asyncio.run(main()))
