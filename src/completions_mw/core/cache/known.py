"""Request bodies that were answered from the cache before: the same bytes are neither parsed nor validated again (docs/caching.md)."""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self

from completions_mw.core.cache.directives import CacheControl
from completions_mw.core.cache.key import content_of
from completions_mw.core.cache.scopes import Sharing, sharing_label
from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import Flights
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.settings.types import ModelKind

if TYPE_CHECKING:
    from completions_mw.core.cache.policy import CachePlan

MAX_BODIES: Final = 4096
"""Number of bodies that are known. Of more, the one that has been known for the longest time is forgotten."""
MAX_BYTES: Final = 64 * 1024
"""Size of the largest body that is known."""


@dataclass(slots=True)
class FreeRecall:
    """The plan of a known request for one caller whose requests are not counted, as nothing limits or records them.

    It depends on the settings, the caller and its `Cache-Control` alone, so it is kept for the caller's next request.
    """

    caller: Caller | None
    control: CacheControl
    """What the caller wants of the cache."""
    plan: "CachePlan | None"
    """What the cache may do; None if it may not be used."""


@dataclass(slots=True)
class KnownRequest:
    """What is needed of a valid request to answer it from the cache: for its key, its limits and its dialect. Holds no content."""

    kind: ModelKind
    model: str
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...]
    is_deterministic: bool
    max_tokens: int | None
    content: bytes
    """Digest of the fields (see `content_of`)."""
    estimate: TokenEstimate
    """Tokens that the request may use."""
    free: FreeRecall | None = None
    """The plan for the caller that asked last, of those who are not counted; None before."""

    @classmethod
    def of(cls, request: ValidRequest, estimate: TokenEstimate) -> Self:
        """Return the known request for a valid one."""
        return cls(
            request.kind,
            request.model,
            request.stream,
            request.include_usage,
            request.ignored,
            request.is_deterministic,
            request.max_tokens,
            content_of(request.fields),
            estimate,
        )


class KnownBodies:
    """Known requests by the SHA-256 of their bodies.

    Callers who share no answers share no entries: else the time of an answer would tell one what another has asked.

    Args:
        flights: has the lock that guards the table against threads.
        sharing: who shares answers, of the models that are cached; `key` if some of them keep callers apart.
    """

    def __init__(self, flights: Flights, sharing: Sharing) -> None:
        self._flights = flights
        self._sharing = sharing
        # Not a dict, which passes over what was deleted from its front each time that its first item is asked for.
        self._requests: OrderedDict[tuple[str, str, bytes], KnownRequest] = OrderedDict()

    def find(self, path: str, caller: Caller | None, body: bytes) -> KnownRequest | None:
        """Return the request that a body of a route is, None if it is not known.

        Args:
            path: path of the route, whose dialect the body is in.
            caller: the caller; None for the host app itself.
            body: the body.
        """
        if len(body) > MAX_BYTES:
            return None
        return self._requests.get((path, sharing_label(caller, self._sharing), sha256(body).digest()))

    def add(self, path: str, caller: Caller | None, body: bytes, request: KnownRequest) -> None:
        """Know a body of a route from now on, if it is not too large."""
        if len(body) > MAX_BYTES:
            return
        # The lock of a forked child is not that of its parent, whose threads may have held it.
        with self._flights.lock:
            self._requests[path, sharing_label(caller, self._sharing), sha256(body).digest()] = request
            if len(self._requests) > MAX_BODIES:
                self._requests.popitem(last=False)
