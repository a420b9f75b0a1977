"""langchain-openai against a real server.

It is imported where it is used: it takes more than a second, and each process of the tests collects this file.
"""

import asyncio
from typing import TYPE_CHECKING, Literal

import openai
import pytest
from pydantic import BaseModel, SecretStr

from tests.clients.support import Endpoint
from tests.support.upstream import MockUpstream

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_openai import ChatOpenAI

TEXT = "Hello to all of you"
USAGE = {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10}


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    degrees: int


def get_weather(text: str) -> str:
    """Look the weather up."""
    return f"21 degrees in {text}"


def chat(endpoint: Endpoint, model: str = "gpt-3.5-turbo") -> "ChatOpenAI":
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=model, base_url=endpoint.base_url, api_key=SecretStr(endpoint.api_key), stream_usage=True)


def counts(message: "AIMessage") -> dict[str, int]:
    usage = message.usage_metadata
    assert usage is not None
    return {"input_tokens": usage["input_tokens"], "output_tokens": usage["output_tokens"], "total_tokens": usage["total_tokens"]}


def test_invoke(endpoint: Endpoint) -> None:
    message = chat(endpoint).invoke(TEXT)
    assert message.content == TEXT
    assert message.response_metadata["finish_reason"] == "stop"
    assert counts(message) == USAGE


def test_ainvoke(endpoint: Endpoint) -> None:
    async def ask() -> "AIMessage":
        model = chat(endpoint)
        try:
            return await model.ainvoke(TEXT)
        finally:
            await model.root_async_client.close()

    message = asyncio.run(ask())
    assert (message.content, counts(message)) == (TEXT, USAGE)


@pytest.mark.parametrize("model", ["gpt-3.5-turbo", "quiet"])
def test_stream(endpoint: Endpoint, model: str) -> None:
    first, *rest = chat(endpoint, model).stream(TEXT)
    whole = first
    for chunk in rest:
        whole = whole + chunk
    assert whole.content == TEXT
    assert whole.response_metadata["finish_reason"] == "stop"
    assert counts(whole) == USAGE


def test_tools_round_trip(endpoint: Endpoint, upstream: MockUpstream) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool

    upstream.reset()
    weather = tool(get_weather)
    model = chat(endpoint, "gpt-tools").bind_tools([weather])
    asked = model.invoke("Paris")
    result = weather.invoke(asked.tool_calls[0])
    assert isinstance(result, ToolMessage)
    assert model.invoke([HumanMessage("Paris"), asked, result]).content == "21 degrees in Paris"
    assert [message["role"] for message in upstream.requests[-1].json["messages"]] == ["user", "assistant", "tool"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(endpoint: Endpoint, method: Literal["json_schema", "function_calling"]) -> None:
    # By their names it takes OpenAI's own models for too old, or for ones that need the Responses API.
    model = chat(endpoint, "echo").with_structured_output(Weather, method=method)
    assert isinstance(model.invoke('{"city": "Paris", "degrees": 21}'), Weather)


def test_embeddings(endpoint: Endpoint) -> None:
    from langchain_openai import OpenAIEmbeddings

    # Its own count of tokens needs a vocabulary from the network.
    embeddings = OpenAIEmbeddings(
        model="text-embedding-3-small", base_url=endpoint.base_url, api_key=SecretStr(endpoint.api_key), check_embedding_ctx_length=False
    )
    texts = [f"text {number}" for number in range(1200)]
    # In two requests, as it sends a thousand texts at once.
    assert embeddings.embed_documents(texts) == [[len(text) / 8, 0.25, 0.25] for text in texts]
    assert embeddings.embed_query("Hello!") == [0.75, 0.25, 0.25]
    short = embeddings.model_copy(update={"dimensions": 2})
    assert short.embed_query("Hello!") == [0.75, 0.25]


@pytest.mark.parametrize(
    ("model", "key", "error"),
    [
        ("echo", "sk-wrong-0123456789", openai.AuthenticationError),
        ("gpt-9", None, openai.NotFoundError),
        ("limited", None, openai.RateLimitError),
    ],
)
def test_refused(endpoint: Endpoint, model: str, key: str | None, error: type[openai.APIStatusError]) -> None:
    with pytest.raises(error):
        chat(endpoint._replace(api_key=key or endpoint.api_key), model).invoke(TEXT)


def test_who_leaves_a_stream_stops_the_upstream(endpoint: Endpoint, upstream: MockUpstream) -> None:
    upstream.reset()
    pieces = chat(endpoint, "stall-2").stream(TEXT)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert upstream.wait_closed().request.model == "stall-2"


def test_failed_stream(endpoint: Endpoint) -> None:
    """A cut upstream is an error, not a short answer."""
    with pytest.raises(openai.APIError, match="before it was complete"):
        list(chat(endpoint, "trunc").stream(TEXT))
