"""What is known of one request while it runs."""

import secrets
from dataclasses import dataclass
from typing import Any

from completions_mw.core.ports import Clock
from completions_mw.http import Headers


@dataclass(slots=True)
class RequestContext:
    """Request context: identity, timing, usage and outcome of one request. Never holds content, a key or a header's value."""

    clock: Clock
    id: str
    """`req_` and 32 hexadecimal digits; the header `x-request-id` of the answer."""
    started: float
    """When the request arrived, in seconds of the monotonic clock."""
    is_http: bool = False
    """Whether the request came by HTTP, so that the access log has a line for it."""
    debug: bool = False
    """Whether logs may quote exceptions, which may quote the request."""
    is_open: bool = True
    """Whether the request is still under way."""
    caller: str | None = None
    """The id of the key or caller; None for the host app itself, and before the caller is known."""
    tenant: str | None = None
    client_request_id: str | None = None
    model: str | None = None
    """The name that the client asked for."""
    target: str | None = None
    """`provider/model` of the target that was asked last."""
    stream: bool = False
    usage: dict[str, Any] | None = None
    estimated: bool = False
    """Whether `usage` is an estimate."""
    finish_reason: Any = None
    """Why the answer ended, as the target gave it."""
    first_ms: int | None = None
    """Milliseconds from the request's arrival to the first event of a stream."""
    headers: Headers = ()
    """Headers that steps add to the answer, as the `x-ratelimit-` ones."""

    @classmethod
    def begin(cls, clock: Clock, *, is_http: bool = False, debug: bool = False) -> "RequestContext":
        """Return the context of a request that has just arrived."""
        return cls(clock, f"req_{secrets.token_hex(16)}", clock.monotonic(), is_http, debug)

    def milliseconds(self) -> int:
        """Return the milliseconds since the request arrived."""
        return round((self.clock.monotonic() - self.started) * 1000)

    def response_headers(self) -> Headers:
        """Return the headers of every answer (docs/contract.md, Headers)."""
        return (
            ("x-request-id", self.id),
            ("openai-processing-ms", str(self.milliseconds())),
            ("openai-version", "2020-10-01"),
            *self.headers,
        )
