"""Stored answers as streams: the chunks that they were stored with, and the usage where it is asked for."""

from typing import Final

from pydantic_core import from_json

from completions_mw.core.ports import StoredAnswer
from completions_mw.core.streaming.pieces import empty_chunk
from completions_mw.sse import DONE, Event, encode

_DONE_EVENT: Final = encode(DONE)
_PREFIX: Final = len(b"data: ")


def stream_of(answer: StoredAnswer, *, include_usage: bool) -> bytes:
    """Return a stored answer as the whole body of a stream of server-sent events."""
    if not include_usage:
        return answer.chunks + _DONE_EVENT
    # Each chunk is one line of JSON, so that the end of an object before an empty line is the end of a chunk.
    return answer.chunks.replace(b"}\n\n", b',"usage":null}\n\n') + answer.usage + _DONE_EVENT


def events_of(answer: StoredAnswer, *, include_usage: bool) -> list[Event]:
    """Return the events of a stored answer, `DONE` last."""
    *lines, _ = stream_of(answer, include_usage=include_usage)[:-2].split(b"\n\n")
    return [*(Event(from_json(line[_PREFIX:]), line[_PREFIX:]) for line in lines), DONE]


def with_usage(events: list[Event], usage: Event | None) -> list[Event]:
    """Return the events of a stream without usage as those of a stream with usage: null in each chunk, and `usage` before `DONE`.

    Args:
        events: the events, each with its bytes.
        usage: the chunk with the usage; None if `DONE` is not among the events.
    """
    chunks = [
        Event({**event.data, "usage": None}, event.raw[:-1] + b',"usage":null}') for event in events if event is not DONE and event.raw
    ]
    return chunks if usage is None else [*chunks, usage, DONE]


class Replay:
    """The stream of a stored answer: all of its events at once.

    Args:
        answer: the stored answer.
        include_usage: whether usage was asked for.
    """

    __slots__ = ("_events", "is_done")

    def __init__(self, answer: StoredAnswer, *, include_usage: bool) -> None:
        self._events = events_of(answer, include_usage=include_usage)
        self.is_done = False

    async def __anext__(self) -> list[Event]:
        if self.is_done:
            raise StopAsyncIteration
        self.is_done = True
        return self._events

    def keep_alive_chunk(self) -> Event:
        return empty_chunk(self._events[0].data)

    async def abort(self, error: Exception) -> None:
        self.is_done = True

    async def aclose(self) -> None:
        self.is_done = True

    async def abandon(self) -> None:
        self.is_done = True
