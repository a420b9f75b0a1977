"""OpenAI's SDKs read what comes from the cache like what comes from an upstream (docs/caching.md)."""

from typing import Any
from uuid import uuid4

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.clients.openai_python import Sdk

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello to all of you"}]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def client(sdk: Sdk) -> OpenAI:
    return sdk.client


def params(model: str) -> dict[str, Any]:
    """Return a request that no other test sends, and that asks for caching."""
    tools = {"tools": [TOOL]} if model == "gpt-tools" else {}
    messages: list[Any] = [*HELLO, {"role": "user", "content": uuid4().hex}]
    return {"model": model, "messages": messages, "extra_headers": {"Cache-Control": "max-age=60"}, **tools}


@pytest.mark.parametrize("model", ["gpt-3.5-turbo", "gpt-tools"])
def test_headers_of_cached_answers(client: OpenAI, model: str) -> None:
    asked = params(model)
    replies = [client.chat.completions.with_raw_response.create(**asked) for _ in range(2)]
    assert [reply.headers["x-cache"] for reply in replies] == ["miss", "hit"]
    assert replies[1].headers["age"].isdigit()
    assert replies[0].headers["x-request-id"] != replies[1].headers["x-request-id"]
    first, second = (reply.parse() for reply in replies)
    assert first == second
    streamed = client.chat.completions.with_raw_response.create(stream=True, **asked)
    assert streamed.headers["x-cache"] == "hit"
    assert list(streamed.parse())[-1].choices[0].finish_reason == first.choices[0].finish_reason


@pytest.mark.parametrize("model", ["gpt-3.5-turbo", "gpt-tools"])
def test_a_replayed_stream_adds_up_to_the_same(client: OpenAI, model: str) -> None:
    asked = params(model)
    finals = []
    for _ in range(2):
        with client.chat.completions.stream(stream_options={"include_usage": True}, **asked) as stream:
            stream.until_done()
            finals.append(stream.get_final_completion())
    live, replay = finals
    assert live == replay, "with the id of the first one, so that it is not a second answer"
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].message.content == live.choices[0].message.content
    assert whole.usage == live.usage


def test_only_if_cached_is_not_repeated(client: OpenAI) -> None:
    raw = client.with_options(max_retries=2)
    asked = {**params("gpt-3.5-turbo"), "extra_headers": {"Cache-Control": "only-if-cached"}}
    with pytest.raises(Exception, match="no cached answer") as caught:
        raw.chat.completions.create(**asked)
    assert caught.value.code == "not_cached"  # type: ignore[attr-defined]
