"""One call to an upstream in HTTP/1.1, without sockets and without a clock: bytes in, an answer out.

The parser is llhttp, by httptools, as in uvicorn. What it leaves to others is here: bounds, deadlines, what ends an answer, and whether the
connection may serve another call.
"""

from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from completions_mw.backends.http.failures import disconnected, encoded, not_http, timed_out
from completions_mw.errors import GatewayError
from completions_mw.http import Headers, UpstreamRequest

MAX_HEAD_BYTES: Final = 64 * 1024
"""Bytes of an answer's head with all informational responses before it, so that a flood of `100 Continue` ends; also bytes without a piece
of the body, as of chunk extensions and trailers."""
_HEADER_OVERHEAD: Final = 4
"""Bytes of a header besides its name and value: a colon, a space, the end of the line."""


class _OutOfBoundsError(Exception):
    """The parser is to stop: a head is too large, or another answer begins behind a complete one."""


class UpstreamCall:
    """The state of one call, fed by the connection that serves it. Times are seconds of the monotonic clock.

    Args:
        request: what is sent.
        now: when the call begins.
    """

    __slots__ = (
        "_content_bytes",
        "_head_bytes",
        "_headers",
        "_idle_bytes",
        "_is_framed",
        "_parser",
        "_pieces",
        "_waiting_bytes",
        "buffered",
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
        self._head_bytes = 0
        self._content_bytes = 0
        self._waiting_bytes = 0
        self._idle_bytes = 0
        self._is_framed = False
        self._parser = HttpResponseParser(self)

    def sent(self, now: float) -> None:
        """Note that the request has been written."""
        self.read_by = min(self.deadline, now + self.timeouts.first_byte)

    def receive(self, data: bytes, now: float) -> None:
        """Take in what the network gave."""
        if self.is_complete or self.failure is not None:
            # What follows an answer belongs to nobody, least of all to the next call.
            self.is_reusable = False
            return
        self.has_begun = True
        before, had_head = self._content_bytes, self.has_head
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if isinstance(error, HttpParserCallbackError) and not isinstance(error.__context__, _OutOfBoundsError):
                # Not the upstream's fault.
                raise error.__context__ or error from None
            self.is_reusable = False
            if not self.is_complete:
                self._fail(disconnected() if had_head else not_http())
                return
        if not self.has_head:
            # What the parser has not told yet, as half of a line, counts too.
            self._waiting_bytes += len(data)
            if self._waiting_bytes > MAX_HEAD_BYTES:
                self._fail(not_http())
        if self._content_bytes > before or self.has_head > had_head:
            self._idle_bytes = 0
            self.read_by = min(self.deadline, now + self.timeouts.between_events)
        elif had_head:
            self._idle_bytes += len(data)
            if self._idle_bytes > MAX_HEAD_BYTES and not self.is_complete:
                self._fail(disconnected())

    def receive_end(self, *, is_clean: bool = True) -> None:
        """Take in that nothing more will come: the end of the stream, or a connection that was lost."""
        self.is_reusable = False
        if self.is_complete or self.failure is not None:
            return
        if self.has_head and is_clean and not self._is_framed:
            # Only an answer without a length and without chunks ends like this (RFC 9112, section 6.3).
            self.is_complete = True
        else:
            self.is_disconnected = True
            self._fail(disconnected() if self.has_head or not is_clean else not_http())

    def expire(self) -> None:
        """Fail, as a deadline has passed."""
        if self.failure is None:
            self._fail(timed_out())

    def take(self) -> bytes:
        """Return what has come of the body and was not taken before."""
        pieces, self._pieces, self.buffered = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def header(self, name: str) -> str | None:
        """Return the first value of the header `name` (lower case)."""
        return next((value for key, value in self.headers if key == name), None)

    def _fail(self, failure: GatewayError) -> None:
        self.is_reusable = False
        # Before the head comes, the upstream may be at work for a request that it never answers.
        failure.maybe_billed = not self.has_head
        self.failure = failure

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise _OutOfBoundsError

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            # A trailer: nobody reads it.
            return
        self._head_bytes += len(name) + len(value) + _HEADER_OVERHEAD
        if self._head_bytes > MAX_HEAD_BYTES:
            # One read may bring more than the bound, and all of it before anybody counts.
            raise _OutOfBoundsError
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers, self._headers = tuple(self._headers), []
        if status < 200:
            return
        self.status, self.headers, self.has_head = status, headers, True
        names = dict(headers)
        self._is_framed = "content-length" in names or "transfer-encoding" in names
        self.is_reusable = self._parser.should_keep_alive()
        if names.get("content-encoding", "identity").lower() != "identity":
            self._fail(encoded())

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)
        self.buffered += len(data)
        self._content_bytes += len(data)

    def on_message_complete(self) -> None:
        self.is_complete = self.has_head
