"""Makes a stored answer of the form in which an answer came: the other form is made of it once, when it is stored."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from pydantic_core import to_json

from completions_mw.core.answers.usage import find_usage
from completions_mw.core.costs.tokens import estimate_usage
from completions_mw.core.ports import StoredAnswer
from completions_mw.core.streaming.accumulator import Accumulator
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.core.streaming.pieces import split
from completions_mw.core.validation.request import Chat
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.providers.base import Completion
from completions_mw.sse import DONE, Event, encode

_FIRST_MEMBERS: Final = ("id", "object", "created", "model", "choices", "usage")
"""The order of members in OpenAI's answers."""


def whole_answer(answer: Completion, request: ValidRequest, target: str) -> StoredAnswer:
    """Return the stored answer of a whole answer.

    Args:
        answer: the answer as clients get it.
        request: the request.
        target: name of the target that gave the answer.
    """
    body = answer.raw or to_json(answer.data, inf_nan_mode="null")
    if isinstance(request, Chat):
        return StoredAnswer.of(body, *_streamed(answer.data, request), target)
    # Embeddings are not streamed. Their usage is kept where that of a stream is.
    return StoredAnswer.of(body, b"", encode(Event({"usage": find_usage(answer.data)})), target)


def _streamed(data: dict[str, Any], chat: Chat) -> tuple[bytes, bytes]:
    """Return the stream of a whole completion, with one chunk for each part of a choice, and its chunk with the usage."""
    grammar = ChunkGrammar(
        id=data["id"],
        created=data["created"],
        model=data["model"],
        renamed=True,
        include_usage=False,
        n=chat.n,
        estimate=partial(estimate_usage, chat.request),
    )
    events = [event for part in split(data) for event in grammar.feed(Event(part))]
    events += grammar.end(done=True)[:-1]
    return b"".join(map(encode, events)), encode(usage_event(events[0], data["usage"]))


def streamed_answer(events: Iterable[Event], usage: Event, chat: Chat, target: str) -> StoredAnswer:
    """Return the stored answer of a stream, whose chunks are kept as they are.

    Args:
        events: the chunks without usage, each with its bytes.
        usage: the chunk with the usage.
        chat: the request.
        target: name of the target that gave the answer.

    Raises:
        TypeError: the chunks are not those of an answer.
    """
    accumulator = Accumulator(chat.request)
    chunks: list[bytes] = []
    for event in events:
        accumulator.add(event.data)
        chunks.append(encode(event))
    accumulator.add(usage.data)
    whole = accumulator.completion()
    body = to_json({**{name: whole[name] for name in _FIRST_MEMBERS}, **whole}, inf_nan_mode="null")
    return StoredAnswer.of(body, b"".join(chunks), encode(usage), target)


def usage_event(first: Event, usage: dict[str, Any]) -> Event:
    """Return the chunk that carries the usage of an answer, whose first chunk is `first`."""
    envelope = {name: first.data[name] for name in _FIRST_MEMBERS[:4]}
    return Event({**envelope, "choices": [], "usage": usage})


def as_sent(events: list[Event]) -> tuple[list[Event], int]:
    """Return events with the bytes that clients get of each, and the number of these bytes.

    Raises:
        pydantic_core.PydanticSerializationError: a value of a model in this process cannot be written as JSON.
    """
    sent: list[Event] = []
    size = 0
    for event in events:
        if event is not DONE:
            line = encode(event)
            size += len(line)
            event = Event(event.data, line[6:-2])
        sent.append(event)
    return sent, size
