"""One call to an upstream in HTTP/1.1, without sockets and without a clock: bytes in, an answer out.

The parser is llhttp, by httptools, as in uvicorn. What it leaves to others is here: bounds, deadlines, what ends an answer, and whether the
connection may serve another call.
"""

from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from completions_mw.backends.http.failures import disconnected, encoded, not_http, timed_out
from completions_mw.errors import GatewayError
from completions_mw.http import Headers, UpstreamRequest

MAX_IDLE_BYTES: Final = 64 * 1024
"""Bytes that may come before a head is complete, informational responses among them, or without any of the body, as chunk extensions and
trailers do: a flood of any of these ends. Twice as many may come, as they are counted after so many have been parsed."""
_LINE_END_BYTES: Final = b"\r\n"
_PLAIN: Final = {"", "identity"}
"""Names of codings that leave a body as it is."""


class _StopError(Exception):
    """The parser is to stop: the answer is not one that can be read, or another one begins behind a complete one."""


class UpstreamCall:
    """The state of one call, fed by the connection that serves it. Times are seconds of the monotonic clock.

    Args:
        request: what is sent.
        now: when the call begins.
    """

    __slots__ = (
        "_headers",
        "_idle_bytes",
        "_is_asked",
        "_is_framed",
        "_parser",
        "_pieces",
        "buffered",
        "caller",
        "client",
        "deadline",
        "failure",
        "has_begun",
        "has_head",
        "headers",
        "is_complete",
        "is_disconnected",
        "is_reusable",
        "read_by",
        "status",
        "timeouts",
    )

    def __init__(self, request: UpstreamRequest, now: float) -> None:
        self.timeouts = request.timeouts
        self.caller = request.caller
        self.client = request.connection
        """For whom the call is made, where its leaving can be seen."""
        self.deadline = now + request.timeouts.total
        self.read_by = self.deadline
        """When the next bytes must have come."""
        self.status = 0
        self.headers: Headers = ()
        """Names in lower case."""
        self.has_begun = False
        """Whether any byte of an answer has come: from then on the request is never sent again."""
        self.has_head = False
        self.is_complete = False
        self.is_disconnected = False
        """Whether the call failed because its connection ended."""
        self.is_reusable = False
        """Whether the connection may serve another call, now that the answer is complete."""
        self.failure: Exception | None = None
        self.buffered = 0
        """Bytes of the body that nobody has taken yet."""
        self._pieces: list[bytes] = []
        self._headers: list[tuple[str, str]] = []
        self._idle_bytes = 0
        self._is_asked = False
        """Whether the whole request was sent before anything came: else what came may belong to another one."""
        self._is_framed = False
        self._parser = HttpResponseParser(self)

    def sent(self, now: float) -> None:
        """Note that the request has been written."""
        self._is_asked = not self.has_begun
        if not self.has_head:
            self.read_by = min(self.deadline, now + self.timeouts.first_byte)

    def receive(self, data: bytes, now: float) -> None:
        """Take in what the network gave."""
        for start in range(0, len(data), MAX_IDLE_BYTES):
            if self._is_over():
                # What follows an answer belongs to nobody, least of all to the next call.
                self.is_reusable = False
                return
            self.has_begun = True
            piece = data[start : start + MAX_IDLE_BYTES]
            buffered, had_head = self.buffered, self.has_head
            self._parse(piece)
            if self.buffered > buffered:
                self._idle_bytes = 0
                self.read_by = min(self.deadline, now + self.timeouts.between_events)
            elif self.has_head > had_head:
                # Many upstreams send it at once, and begin to work then: the time for the first byte goes on.
                self._idle_bytes = 0
            else:
                self._idle_bytes += len(piece)
                if self._idle_bytes > MAX_IDLE_BYTES and not self.is_complete:
                    self._fail(disconnected() if had_head else not_http())
            if self._is_over():
                # Nothing more is parsed. The parser and this object hold each other: both would wait for the garbage collector.
                del self._parser

    def receive_end(self, *, is_clean: bool = True) -> None:
        """Take in that nothing more will come: the end of the stream, or a connection that was lost."""
        self.is_reusable = False
        if self._is_over():
            return
        if self.has_head and is_clean and not self._is_framed:
            # Only an answer without a length and without chunks ends like this (RFC 9112, section 6.3).
            self.is_complete = True
        else:
            self.is_disconnected = True
            self._fail(disconnected() if self.has_head or not is_clean else not_http())

    def expire(self) -> None:
        """Fail, as a deadline has passed."""
        if not self._is_over():
            self.failure = timed_out()
            # The upstream may be at work, and bill it.
            self.failure.maybe_billed = True

    def awaited(self, now: float) -> None:
        """Note that a reader waits for more after it had all: the time in which nobody read is not the upstream's silence."""
        self.read_by = min(self.deadline, now + self.timeouts.between_events)

    def take(self) -> bytes:
        """Return what has come of the body and was not taken before."""
        pieces, self._pieces, self.buffered = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _is_over(self) -> bool:
        return self.is_complete or self.failure is not None

    def _fail(self, failure: GatewayError) -> None:
        if self.failure is None:
            # Before the head comes, the upstream may be at work for a request that it never answers.
            failure.maybe_billed = not self.has_head
            self.failure = failure

    def _parse(self, data: bytes) -> None:
        try:
            if data[-1] in _LINE_END_BYTES:
                # The parser passes over line ends behind an answer, so the last one comes alone: was the answer complete before it?
                self._parser.feed_data(data[:-1])
                if self.is_complete:
                    self.is_reusable = False
                    return
                data = data[-1:]
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if isinstance(error, HttpParserCallbackError) and not isinstance(error.__context__, _StopError):
                # Not the upstream's fault.
                raise error.__context__ or error from None
            self.is_reusable = False
            if not self.is_complete:
                self._fail(disconnected() if self.has_head else not_http())

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise _StopError

    def on_header(self, name: bytes, value: bytes) -> None:
        # One that comes later is a trailer: nobody reads it.
        if not self.has_head:
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1").rstrip(" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers, self._headers = tuple(self._headers), []
        names = dict(headers)
        is_framed = "content-length" in names or "transfer-encoding" in names
        if status < 200:
            if status < 100 or is_framed:
                # An informational response has no body (RFC 9110, section 15.2); the parser would read one, as the start of the answer.
                raise _StopError
            return
        if ("content-encoding" in names or "transfer-encoding" in names) and _is_encoded(status, headers):
            self.failure = encoded()
            raise _StopError
        self.status, self.headers, self.has_head, self._is_framed = status, headers, True, is_framed

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)
        self.buffered += len(data)

    def on_message_complete(self) -> None:
        if self.has_head:
            self.is_complete = True
            # HTTP/1.0 keeps connections by an agreement that proxies break (RFC 9112, appendix C.2.2).
            self.is_reusable = self._is_asked and self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1"


def _is_encoded(status: int, headers: Headers) -> bool:
    """Return whether a body is more than cut into chunks. A refusal is understood by its status and headers, whatever its content."""
    codings = {coding.strip().lower() for name, value in headers if name == "content-encoding" for coding in value.split(",")}
    transfers = [value.lower() for name, value in headers if name == "transfer-encoding"]
    return (status < 400 and not codings <= _PLAIN) or transfers not in ([], ["chunked"])
