"""openai-python against a real server: what works for OpenAI works for us, sync and async."""

from typing import Any

import pytest
from openai import BadRequestError, OpenAI, PermissionDeniedError, omit, pydantic_function_tool
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageFunctionToolCall, ChatCompletionMessageParam
from pydantic import BaseModel

from tests.clients.openai_python import Sdk
from tests.support.upstream import MockUpstream

MODEL = "gpt-3.5-turbo"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello to all of you"}]
WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}},
}

KEEP_ALIVES = 10


class Weather(BaseModel):
    """An answer in a form of its own."""

    city: str
    degrees: int
    windy: bool


@pytest.fixture
def client(sdk: Sdk) -> OpenAI:
    return sdk.client


def test_chat(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=HELLO, n=2)
    assert [choice.message.content for choice in completion.choices] == ["Hello to all of you"] * 2
    assert [choice.finish_reason for choice in completion.choices] == ["stop", "stop"]
    assert completion.model == MODEL
    assert completion.id.startswith("chatcmpl-")
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens, completion.usage.total_tokens) == (5, 10, 15)


EMBEDDING_MODEL = "text-embedding-3-small"
VECTORS = [[1.0, 0.25, 0.25], [0.375, 0.25, 0.25]]


@pytest.fixture
def tolerant(client: OpenAI) -> OpenAI:
    """A client without strict validation, which refuses the base64 that the SDK asks for itself, whoever sends it."""
    return client.with_options(_extra_kwargs={"_strict_response_validation": False})


@pytest.mark.parametrize("form", [omit, "float"], ids=["default", "float"])
def test_embeddings(tolerant: OpenAI, upstream: MockUpstream, form: Any) -> None:
    """By default the SDK asks for base64, and decodes it."""
    upstream.reset()
    answer = tolerant.embeddings.create(model=EMBEDDING_MODEL, input=["Hello to", "all"], encoding_format=form)
    assert [item.embedding for item in answer.data] == VECTORS
    assert [item.index for item in answer.data] == [0, 1]
    assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == (EMBEDDING_MODEL, 3, 3)
    assert upstream.requests[-1].json["encoding_format"] == ("base64" if form is omit else "float")


def test_embeddings_of_tokens_and_dimensions(tolerant: OpenAI) -> None:
    answer = tolerant.embeddings.create(model=EMBEDDING_MODEL, input=[[1, 2, 3], [4]], dimensions=2)
    assert [item.embedding for item in answer.data] == [[0.375, 0.25], [0.125, 0.25]]


def test_embeddings_that_are_refused(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="empty string"):
        client.embeddings.create(model=EMBEDDING_MODEL, input="")
    with pytest.raises(PermissionDeniedError, match="You are not allowed to generate embeddings from this model"):
        client.embeddings.create(model=MODEL, input="Hello")


def test_request_id_of_an_answer(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert completion._request_id is not None
    assert completion._request_id.startswith("req_")


def test_headers_of_a_raw_response(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
    assert raw.status_code == 200
    assert raw.headers["content-type"] == "application/json"
    assert raw.headers["x-request-id"] == raw.request_id
    assert raw.headers["openai-version"] == "2020-10-01"
    assert raw.headers["openai-processing-ms"].isdigit()
    assert raw.parse().choices[0].message.content == "Hello to all of you"


def test_stream_in_a_context(client: OpenAI) -> None:
    with client.chat.completions.create(model=MODEL, messages=HELLO, stream=True) as stream:
        chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello to all of you"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)


def test_usage_of_a_stream(client: OpenAI) -> None:
    *chunks, last = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (5, 5, 10)
    assert all(chunk.choices and chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks)


def test_a_stream_with_ten_keep_alives(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="quiet", messages=HELLO, stream=True, stream_options={"include_usage": True}))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "Hello to all of you"
    assert sum(choice.delta.model_dump(exclude_unset=True) == {} for chunk in chunks for choice in chunk.choices) > KEEP_ALIVES
    with client.chat.completions.stream(model="quiet", messages=HELLO) as stream:
        completion = stream.get_final_completion()
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == ("Hello to all of you", "stop")


def test_stream_left_early_closes_the_upstream(client: OpenAI, upstream: MockUpstream) -> None:
    upstream.reset()
    with client.chat.completions.create(model="stall-2", messages=HELLO, stream=True) as stream:
        assert next(iter(stream)).choices[0].delta.role == "assistant"
    assert upstream.wait_closed().request.model == "stall-2"


def test_parse(client: OpenAI) -> None:
    completion = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Weather)
    weather = completion.choices[0].message.parsed
    assert isinstance(weather, Weather)
    assert weather.model_dump_json() == completion.choices[0].message.content


def test_parsed_tool_call(client: OpenAI) -> None:
    tools = [pydantic_function_tool(Weather)]
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": '{"city": "Paris", "degrees": 21, "windy": true}'}]
    completion = client.chat.completions.parse(model=MODEL, messages=messages, tools=tools, tool_choice="required")
    assert completion.choices[0].finish_reason == "tool_calls"
    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.parsed_arguments == Weather(city="Paris", degrees=21, windy=True)


def test_stream_helper(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=HELLO, stream_options={"include_usage": True}) as stream:
        events = list(stream)
    completion = stream.get_final_completion()
    deltas = [event.delta for event in events if event.type == "content.delta"]
    done = [event.content for event in events if event.type == "content.done"]
    assert ("".join(deltas), done) == ("Hello to all of you", ["Hello to all of you"])
    assert completion.choices[0].message.content == "Hello to all of you"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 10


def test_stream_helper_that_parses(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=HELLO, response_format=Weather) as stream:
        completion = stream.get_final_completion()
    assert isinstance(completion.choices[0].message.parsed, Weather)


def test_tools_round_trip(client: OpenAI, upstream: MockUpstream) -> None:
    upstream.reset()
    messages: list[Any] = [{"role": "user", "content": "Paris"}]
    first = client.chat.completions.create(model="gpt-tools", messages=messages, tools=[WEATHER])
    assert first.choices[0].finish_reason == "tool_calls"
    assert first.choices[0].message.content is None
    answered = _answer_call(messages, first.choices[0].message)
    final = client.chat.completions.create(model="gpt-tools", messages=messages, tools=[WEATHER])
    assert final.choices[0].message.content == "21 degrees"
    assert final.model == "gpt-tools"
    _check_second_request(upstream, answered)


def test_streamed_tools_round_trip(client: OpenAI, upstream: MockUpstream) -> None:
    upstream.reset()
    messages: list[Any] = [{"role": "user", "content": "Paris"}]
    with client.chat.completions.stream(model="gpt-tools", messages=messages, tools=[WEATHER]) as stream:
        events = list(stream)
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [(event.name, event.arguments) for event in done] == [("get_weather", '{"text": "Paris"}')]
    answered = _answer_call(messages, stream.get_final_completion().choices[0].message)
    with client.chat.completions.stream(model="gpt-tools", messages=messages, tools=[WEATHER]) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "21 degrees"
    _check_second_request(upstream, answered)


def _answer_call(messages: list[Any], message: Any) -> str:
    """Go on as OpenAI's guide does: the SDK's own object goes back as it came, then the result of the call."""
    call = message.tool_calls[0]
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"text": "Paris"}')
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    return call.id


def _check_second_request(upstream: MockUpstream, call_id: str) -> None:
    sent = upstream.requests[-1].json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"] == call_id
    function = sent[1]["tool_calls"][0]["function"]
    assert (function["name"], function["arguments"]) == ("get_weather", '{"text": "Paris"}')


def test_models(client: OpenAI) -> None:
    models = client.models.list().data
    assert MODEL in [model.id for model in models]
    assert {model.object for model in models} == {"model"}


def test_model(client: OpenAI) -> None:
    model = client.models.retrieve(MODEL)
    assert (model.id, model.object, model.created, model.owned_by) == (MODEL, "model", 1_700_000_000, "tests")
