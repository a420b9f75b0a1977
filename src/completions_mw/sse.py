"""Encoder and decoder of server-sent events, as chat completions use them (docs/contract.md, Streams)."""

from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from completions_mw.errors import UpstreamError

EVENT_STREAM: Final = "text/event-stream"
_FIRST_WORDS: Final = (b"data:", b"event:", b"id:", b"retry:", b":", b"error:")
_BOM: Final = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """An event of an answer: a JSON object, and the bytes that it was parsed from if the client may get them unchanged."""

    data: dict[str, Any]
    raw: bytes | None = None


DONE: Final = Event({}, b"[DONE]")
"""The event that ends a complete answer. Compared by identity."""

KEEP_ALIVE: Final = b": keep-alive\n\n"
"""A comment, sent during silence so that clients and proxies keep the connection open."""


def encode(event: Event) -> bytes:
    """Return `event` as a single `data` line of ASCII, the only form that all clients read (docs/contract.md, Streams).

    Raises:
        pydantic_core.PydanticSerializationError: the data cannot be encoded as JSON, as with a lone surrogate.
    """
    raw = event.raw
    # `find` is twice as fast as `in` for one byte.
    if raw is None or not raw.isascii() or raw.find(b"\n") >= 0 or raw.find(b"\r") >= 0:
        # NaN and Infinity are not JSON, and a JavaScript client would fail at them.
        raw = to_json(event.data, ensure_ascii=True, inf_nan_mode="null")
    return b"data: " + raw + b"\n\n"


class ServerSentEvent(NamedTuple):
    """An event as an upstream sent it. The data is bytes: the parser of the JSON checks its UTF-8 too."""

    data: bytes
    """Values of the `data` lines, joined by line feeds."""
    event: str = ""
    """Value of the `event` field, such as `error`; empty if there is none."""


class Decoder:
    """Splits the bytes of an upstream's answer into events, however the network has split them (docs/contract.md, Streams).

    Follows https://html.spec.whatwg.org/multipage/server-sent-events.html: an event without a blank line after it is dropped, so an answer
    that was cut ends without `[DONE]`.

    Args:
        max_event_bytes: bytes that one event may have: its data so far and the line that is being read.
        max_events: events that one answer may have.
    """

    __slots__ = (
        "_after_cr",
        "_between_events",
        "_data",
        "_events_left",
        "_failed",
        "_line",
        "_max_event_bytes",
        "_name",
        "_started",
    )

    def __init__(self, max_event_bytes: int = 1024 * 1024, max_events: int = 200_000) -> None:
        self._max_event_bytes = max_event_bytes
        self._events_left = max_events
        self._started = False
        # True before the first piece too: one that starts with a field has no byte order mark.
        self._between_events = True
        self._after_cr = False
        self._failed = False
        self._line = bytearray()
        self._data = bytearray()
        self._name = b""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events that `data` completes.

        Raises:
            UpstreamError: the answer exceeds a bound; the code is `upstream_too_large`. The call that finds the fault returns the events
                before it, if there are any; every later call raises.
        """
        if self._between_events and len(data) <= self._max_event_bytes:
            events = _whole_events(data)
            if events is not None and len(events) <= self._events_left:
                self._started = True
                self._events_left -= len(events)
                return events
        return self._feed_any(data)

    def end(self) -> ServerSentEvent | None:
        """Return what has come of an event without a blank line after it, which is not an event by the standard; None if there is none."""
        if self._failed or not self._started:
            return None
        if self._line:
            self._add_field(bytes(self._line))
        events: list[ServerSentEvent] = []
        self._end_event(events)
        return events[0] if events else None

    def _feed_any(self, data: bytes) -> list[ServerSentEvent]:
        events = [] if self._failed else self._feed_lines(data)
        self._events_left -= len(events)
        if self._events_left < 0:
            del events[self._events_left :]
            self._failed = True
        if self._failed and not events:
            raise UpstreamError("The upstream provider sent more than is accepted.", code="upstream_too_large")
        self._between_events = self._started and not (self._failed or self._line or self._data or self._name)
        return events

    def _feed_lines(self, data: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        for line in self._complete_lines(data):
            if not self._fits(line):
                return events
            if line:
                self._add_field(line)
            else:
                self._end_event(events)
        # Before that, the bytes may be half a byte order mark, and no line.
        if self._started:
            self._fits(self._line)
        return events

    def _complete_lines(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, and keep the rest for the next call."""
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        # Only the new bytes are searched, so that a line in many pieces is not searched again for each piece.
        ends_line = b"\n" in data or b"\r" in data
        self._line += data
        if not (self._skip_bom() and ends_line):
            return []
        lines = bytes(self._line).splitlines()
        self._after_cr = data.endswith(b"\r")
        self._line = bytearray() if self._after_cr or data.endswith(b"\n") else bytearray(lines.pop())
        return lines

    def _skip_bom(self) -> bool:
        """Remove a byte order mark; return whether enough bytes were received to know if there is one."""
        if not self._started and (len(self._line) >= len(_BOM) or not _BOM.startswith(self._line)):
            self._started = True
            self._line = self._line.removeprefix(_BOM)
        return self._started

    def _fits(self, line: bytes | bytearray) -> bool:
        self._failed = len(self._data) + len(self._name) + len(line) > self._max_event_bytes
        return not self._failed

    def _add_field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data += value.removeprefix(b" ")
            self._data += b"\n"
        elif field == b"event":
            self._name = value.removeprefix(b" ")
        elif field == b"error":
            # Not in the standard: llama.cpp and others report errors so.
            self._data += value.removeprefix(b" ")
            self._data += b"\n"
            self._name = field
        elif line.startswith((b"{", b"[")):
            # Not in the standard: JSON without a field is an error of Ollama, or of the server in front of the model.
            self._data += line
            self._data += b"\n"

    def _end_event(self, events: list[ServerSentEvent]) -> None:
        if self._data:
            events.append(ServerSentEvent(bytes(self._data[:-1]), self._name.decode(errors="replace")))
            self._data = bytearray()
        self._name = b""


def _whole_events(data: bytes) -> list[ServerSentEvent] | None:
    """Return the events in `data` if it consists of whole events with one data line each, the usual case; else None."""
    if not data.startswith(b"data: "):
        return None
    if data.endswith(b"\r\n"):
        data = data.replace(b"\r\n", b"\n")
    if not data.endswith(b"\n\n") or data.find(b"\r") >= 0:
        return None
    events = []
    for value in data[6:-2].split(b"\n\ndata: "):
        if value.find(b"\n") >= 0:
            return None
        events.append(ServerSentEvent(value))
    return events


def is_start_of_stream(start: bytes) -> bool | None:
    """Return whether bytes begin a stream of events, whatever its content type says; None if they are too few to know."""
    text = start.removeprefix(_BOM).lstrip()
    if text.startswith(_FIRST_WORDS):
        return True
    may_begin = not text or any(word.startswith(text) for word in _FIRST_WORDS)
    return None if may_begin or _BOM.startswith(start) else False
