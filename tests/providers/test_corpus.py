"""Every wire format over the corpus: requests, whole answers, streams, and what is left of a stream that was split or cut."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, get_args

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from completions_mw.core.answers.completion import complete_answer
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.errors import GatewayError, InvalidRequestError
from completions_mw.providers.base import Translator
from completions_mw.settings import ProviderSettings
from completions_mw.sse import DONE, Event
from tests.faults.conftest import AsyncClient, BlockingClient
from tests.providers.corpus import FORMATS
from tests.providers.corpus.case import NAMES, Case, case
from tests.providers.corpus.format import Format
from tests.providers.corpus.replay import Replays, upstream
from tests.support.envelope import check_error
from tests.support.grammar import check_completion, check_failed_stream, check_stream

MAX_EVENT_BYTES = 64 * 1024
WHOLE: dict[str, Any] = {"new_id": lambda: "chatcmpl-1", "created": 1, "model": "m", "is_forced": False}
"""What the core adds to a whole answer."""
EVERYWHERE = 1500
"""Bytes of a stream that is cut at each of its bytes; a longer one is cut at so many places."""

OF_ALL_TYPES: tuple[Any, ...] = (None, 7, "x", [], {})
ONLY_ONCE = ("created", "object", "native_finish_reason", "parsed", "parsed_arguments")
"""Members of an answer that are left out where a stream is compared with a whole answer."""

every_case = pytest.mark.parametrize(("api", "name"), [(api, name) for api in FORMATS for name in NAMES])
answered = pytest.mark.parametrize(("api", "name"), [(api, name) for api in FORMATS for name in NAMES if name != "error"])
every_format = pytest.mark.parametrize("api", FORMATS)


@pytest.fixture(scope="module", params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def replays(request: pytest.FixtureRequest) -> Iterator[Replays]:
    made = Replays(request.param)
    yield made
    made.close()


def test_every_wire_format_is_here() -> None:
    [union, *_] = get_args(ProviderSettings)
    apis = {get_args(kind.model_fields["api"].annotation)[0] for kind in get_args(union) if not kind.is_local}
    assert FORMATS.keys() == apis - {"custom"}


@every_case
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_requests(replays: Replays, api: str, name: str, stream: bool) -> None:
    format, one = FORMATS[api], case(api, name)
    asked = replays.exchange(format, one, stream=stream)
    assert asked.url == format.url(one.model, stream=stream)
    assert asked.sent == (format.streamed_request(one.sent) if stream else one.sent)
    format.check_request(asked.sent)


@answered
def test_whole_answers(replays: Replays, api: str, name: str) -> None:
    format, one = FORMATS[api], case(api, name)
    answer = replays.exchange(format, one, stream=False)
    assert answer.status == 200, answer.body
    completion = check_completion(answer.body)
    assert one.completion is not None
    assert completion == {"id": completion["id"], "created": completion["created"], **one.completion}
    ChatCompletion.model_validate_json(answer.body, strict=True)


@answered
def test_streams(replays: Replays, api: str, name: str) -> None:
    format, one = FORMATS[api], case(api, name)
    answer = replays.exchange(format, one, stream=True)
    assert answer.status == 200, answer.body
    streamed = check_stream(answer.body, include_usage=True)
    assert one.completion is not None
    state = ChatCompletionStreamState()
    for chunk in [*streamed.chunks, {**streamed.chunks[-1], "choices": [], "usage": streamed.usage}]:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk, strict=True))
    assert _comparable(state.current_completion_snapshot.to_dict()) == _comparable({"id": streamed.chunks[0]["id"], **_streamed(one)})


@every_format
def test_an_error(replays: Replays, api: str) -> None:
    format, one = FORMATS[api], case(api, "error")
    assert one.error is not None
    answer = replays.exchange(format, one, stream=False)
    body = json.loads(answer.body)
    check_error(body)
    assert answer.status == one.error["status"]
    assert one.error.get("headers", {}).items() <= answer.headers.items()
    assert one.error["members"].items() <= body["error"].items()


@every_format
def test_an_error_in_a_stream(replays: Replays, api: str) -> None:
    format, one = FORMATS[api], case(api, "error")
    answer = replays.exchange(format, one, stream=True)
    assert answer.status == 200, answer.body
    assert check_failed_stream(answer.body) == one.event_error
    *blocks, _, _ = answer.body.split(b"\n\n")
    choices = [choice for block in blocks for choice in json.loads(block.removeprefix(b"data: "))["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == one.text


@answered
def test_the_sdk_of_the_vendor_reads_the_fixtures(api: str, name: str) -> None:
    format, one = FORMATS[api], case(api, name)
    assert format.read_stream(format.encode(one.events)) == format.read(one.body)


@every_case
def test_any_split_gives_the_same_events(api: str, name: str) -> None:
    format, one = FORMATS[api], case(api, name)
    raw = format.encode(one.events)
    whole = _translated(format, raw)
    assert _translated(format, *(raw[at : at + 1] for at in range(len(raw)))) == whole
    for at in range(1, len(raw), max(1, len(raw) // 100)):
        assert _translated(format, raw[:at], raw[at:]) == whole


@every_case
def test_no_cut_is_taken_for_a_whole_answer(api: str, name: str) -> None:
    format, one = FORMATS[api], case(api, name)
    raw = format.encode(one.events)
    whole = _heard(format, raw)
    assert (whole is None) == (name == "error")
    for at in range(0, len(raw), max(1, len(raw) // EVERYWHERE)):
        assert _heard(format, raw[:at]) in (None, whole), raw[:at]


@every_format
@pytest.mark.parametrize("name", ["parallel_tools", "thinking", "error"])
def test_values_of_other_types_never_escape(api: str, name: str) -> None:
    format, one = FORMATS[api], case(api, name)
    wire_format = upstream(format).wire_format
    for body in _wrong(one.answer):
        assert isinstance(wire_format.parse_error(400, (), json.dumps(body).encode()), GatewayError)
        with suppress(GatewayError):
            complete_answer(wire_format.parse_completion(json.dumps(body).encode()).data, **WHOLE)
    for at, event in enumerate(one.events):
        for wrong in filter(_is_object, _wrong(event)):
            _heard(format, format.encode([*one.events[:at], wrong, *one.events[at + 1 :]]))


@every_format
def test_what_other_vendors_made_of_a_conversation_never_escapes(api: str) -> None:
    """A conversation may go on with another vendor, whose members of messages nobody has validated."""
    one = upstream(FORMATS[api])
    for other in FORMATS:
        for name in NAMES:
            asked = case(other, name).request
            for fields in (asked, *_with_wrong_extras(asked)):
                with suppress(InvalidRequestError):
                    one.wire_format.build_request(one.endpoint, one.capabilities, case(api, "plain").model, fields, 4096)


def _with_wrong_extras(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a request with wrong values in the members of a message that OpenAI's API does not have."""
    for at, message in enumerate(request["messages"]):
        calls = message.get("tool_calls") or []
        wrong = [{**message, name: value} for name in ("thinking_blocks", "extra_content") for value in _wrong(message.get(name))]
        wrong += [{**message, "tool_calls": [{**call, "extra_content": value} for call in calls]} for value in _wrong({"google": {}})]
        yield from ({**request, "messages": [*request["messages"][:at], one, *request["messages"][at + 1 :]]} for one in wrong)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _wrong(value: Any) -> Iterator[Any]:
    """Yield a JSON value with one of its parts, or itself, replaced by values of other types."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield {other: one for other, one in value.items() if other != name}
            for wrong in _wrong(item):
                yield {**value, name: wrong}
    elif isinstance(value, list):
        for at, item in enumerate(value):
            for wrong in _wrong(item):
                yield [*value[:at], wrong, *value[at + 1 :]]
    yield from (other for other in OF_ALL_TYPES if type(other) is not type(value))


def _translated(format: Format, *pieces: bytes) -> tuple[list[Event], str | None]:
    """Return the events of a stream that comes in `pieces`, and the text of its fault."""
    translator = upstream(format).wire_format.open_stream(MAX_EVENT_BYTES)
    events = _feed(translator, *pieces)
    return events, None if translator.fault is None else translator.fault.message


def _feed(translator: Translator, *pieces: bytes) -> list[Event]:
    events: list[Event] = []
    for piece in pieces:
        events += translator.feed(piece)
        if translator.fault is not None or (events and events[-1] is DONE):
            return events
    return events + translator.end()


def _heard(format: Format, raw: bytes) -> list[dict[str, Any]] | None:
    """Return what a client is told that is told of an end: the steps of the choice; None if the stream is an error."""
    translator = upstream(format).wire_format.open_stream(MAX_EVENT_BYTES)
    events = _feed(translator, raw)
    if translator.fault is not None:
        return None
    grammar = ChunkGrammar(id="chatcmpl-1", created=1, model="m", renamed=True, include_usage=False, estimate=lambda _: {})
    try:
        chunks = grammar.follow(events)
        if not chunks or chunks[-1] is not DONE:
            chunks += grammar.end(done=False)
    except GatewayError:
        return None
    return [choice for chunk in chunks if chunk is not DONE for choice in chunk.data["choices"]]


def _streamed(one: Case) -> dict[str, Any]:
    """Return the answer that a case's stream adds up to."""
    assert one.completion is not None
    [choice] = one.completion["choices"]
    return {**one.completion, "choices": [{**choice, "message": {**choice["message"], **one.streamed}}]}


def _comparable(value: Any) -> Any:
    """Return an answer without what only streams have, or only whole answers: indexes, empty texts, and what the SDK adds or loses."""
    if isinstance(value, list):
        return [
            _comparable({name: item for name, item in one.items() if name != "index"}) if isinstance(one, dict) else one for one in value
        ]
    if isinstance(value, dict):
        return {name: _comparable(item) for name, item in value.items() if item not in (None, "") and name not in ONLY_ONCE}
    return value
