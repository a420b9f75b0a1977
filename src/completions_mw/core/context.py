"""The request context: data about one request while it runs."""

import re
from collections.abc import Iterable
from os import urandom
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from completions_mw.core.ports import Clock
from completions_mw.http import Headers

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_IGNORED: Final = 32
"""Maximum of names in `x-ignored-params`."""


class LostAttempt(NamedTuple):
    """An attempt that may be billed and does not count: another one followed it, or was sooner."""

    target: str
    """`provider/model` of the target."""
    seconds: float
    """Seconds that were waited for the answer."""
    received: int | None
    """Bytes received of the answer; None if the target may have gone on writing it."""
    usage: dict[str, Any] | None = None
    """The usage that the target reported; None if it reported none."""


class RequestContext:
    """Request context: identity, timing, usage and outcome of one request. Holds no content and no key.

    Args:
        clock: time.
        is_http: whether the request came by HTTP.
        debug: whether logs may quote exceptions.
    """

    __slots__ = (
        "asked",
        "attempts",
        "cache",
        "caller",
        "client_request_id",
        "clock",
        "deadline",
        "debug",
        "dropped",
        "estimated",
        "finish_reason",
        "first_ms",
        "has_body",
        "headers",
        "heard",
        "id",
        "ignored",
        "is_http",
        "is_open",
        "lost",
        "model",
        "saved",
        "started",
        "stream",
        "target",
        "tenant",
        "unread",
        "usage",
    )

    def __init__(self, clock: Clock, *, is_http: bool = False, debug: bool = False) -> None:
        self.clock = clock
        self.id = f"req_{(int(clock.time() * 1000).to_bytes(6) + urandom(10)).hex()}"
        """Id of the request: `req_` and 32 hexadecimal digits; sent as the header `x-request-id`.

        The first 12 digits are the milliseconds since the epoch, so that ledgers have the rows of one time next to each other: where
        ids have no order, each row changes a page of its own in the database.
        """
        self.started = clock.monotonic()
        """Time of arrival, in seconds of the monotonic clock."""
        self.is_http = is_http
        """Whether the request came by HTTP and is logged in the access log."""
        self.debug = debug
        """Whether logs may quote exceptions, which may quote the request."""
        self.is_open = True
        """Whether the request is still running."""
        self.has_body = False
        """Whether the body of the request was read to its end."""
        self.caller: str | None = None
        """Id of the caller; None for the host app itself, and before the caller is known."""
        self.tenant: str | None = None
        """Tenant of the caller; None if it has none, and where `caller` is None."""
        self.client_request_id: str | None = None
        """The client's own id of the request, from the header `x-client-request-id`."""
        self.model: str | None = None
        """Model name that the client asked for."""
        self.target: str | None = None
        """`provider/model` of the target that was asked last."""
        self.asked = 0.0
        """Time at which `target` was asked, in seconds of the monotonic clock; 0 before."""
        self.attempts = 0
        """Number of times that a target was asked."""
        self.lost: tuple[LostAttempt, ...] = ()
        """Attempts before the last one that are charged too."""
        self.deadline: float | None = None
        """Time by which the client wants its answer, in seconds of the monotonic clock; None if it has not said so."""
        self.heard: float | None = None
        """Seconds from `asked` to the first visible text of a stream; None before it, and for whole answers."""
        self.unread = 0.0
        """Seconds of a stream in which its target may have waited for the client."""
        self.stream = False
        """Whether the client asked for a stream."""
        self.usage: dict[str, Any] | None = None
        """The answer's `usage` object; None until the answer has ended."""
        self.estimated = False
        """Whether `usage` is an estimate."""
        self.finish_reason: Any = None
        """The answer's `finish_reason` as the target gave it."""
        self.cache: str | None = None
        """Value of the response header `x-cache`; None if the model's answers are not cached."""
        self.saved: dict[str, Any] | None = None
        """The `usage` object of an answer that has cost nothing, because it came from the cache."""
        self.ignored: tuple[str, ...] = ()
        """Names of the client's parameters that no target gets, or that change nothing at `target`."""
        self.dropped: tuple[str, ...] = ()
        """Names of the client's parameters that `target` does not get, or gets with another value."""
        self.first_ms: int | None = None
        """Milliseconds from the request's arrival to the first event of a stream."""
        self.headers: Headers = ()
        """Response headers that steps have added, as the `x-ratelimit-` headers."""

    @property
    def is_from_cache(self) -> bool:
        """Whether the answer came from the response cache, or from the call of an identical request."""
        return self.cache in ("hit", "coalesced")

    def ask(self, target: str) -> None:
        """Note that a target, `provider/model`, is asked now."""
        self.target, self.asked, self.heard = target, self.clock.monotonic(), None
        self.usage, self.estimated, self.finish_reason = None, False, None
        self.attempts += 1

    def seconds_of_target(self) -> float:
        """Return the seconds since the target was asked; 0 if none was."""
        return self.clock.monotonic() - self.asked if self.attempts else 0.0

    def milliseconds(self) -> int:
        """Return the milliseconds since the request arrived."""
        return round((self.clock.monotonic() - self.started) * 1000)

    def adopt(self, other: "RequestContext") -> None:
        """Take over all that another context of the same request knows."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def note_attempts(self, target: str | None, *, has_choice: bool) -> None:
        """Tell the client which target answered and how often one was asked; nothing where one was asked once, and there was no choice."""
        if not has_choice and self.attempts <= 1:
            return
        # A header is ASCII, the name of a model need not be.
        named = () if target is None else (("x-completions-target", target if target.isascii() else quote(target)),)
        self.headers = (*self.headers, *named, ("x-completions-attempts", str(self.attempts)))

    def note_ignored(self, names: Iterable[str]) -> None:
        """Add to `ignored`, of which the client is told."""
        self.ignored = tuple(dict.fromkeys((*self.ignored, *names)))

    def response_headers(self) -> Headers:
        """Return the headers of the response that do not depend on its body (docs/contract.md, Headers)."""
        return (
            ("x-request-id", self.id),
            ("openai-processing-ms", str(round((self.clock.monotonic() - self.started) * 1000))),
            ("openai-version", "2020-10-01"),
            *self.headers,
            *(_ignored_headers(self.ignored) if self.ignored else ()),
            *((("x-completions-dropped", ", ".join(self.dropped)),) if self.dropped else ()),
        )


def _ignored_headers(names: tuple[str, ...]) -> Headers:
    """Return the header for ignored parameters, without names that a header cannot carry."""
    shown = [name for name in names if _HEADER_NAME.fullmatch(name)][:_MAX_IGNORED]
    return (("x-ignored-params", ", ".join(shown)),) if shown else ()
