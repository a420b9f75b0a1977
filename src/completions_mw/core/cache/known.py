"""Bodies that were answered from the cache: one that comes again is neither parsed nor validated again (docs/caching.md)."""

from collections import OrderedDict
from hashlib import sha256
from typing import Final, NamedTuple, Self

from completions_mw.core.cache.key import content_of
from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.ports.flights import Lock
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.settings.types import ModelKind

MAX_BODIES: Final = 4096
"""Number of bodies that are known. Of more, the one that has been known for the longest time is forgotten."""
MAX_BYTES: Final = 64 * 1024
"""Size of the largest body that is known."""


class KnownRequest(NamedTuple):
    """What a valid request asks of the cache, of its limits and of its dialect, until an answer is found. Has nothing of its content."""

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

    @classmethod
    def of(cls, request: ValidRequest, estimate: TokenEstimate) -> Self:
        """Return what is to be known of a request."""
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
    """Requests by the SHA-256 of their bodies, the same for all callers: what a caller may ask, and for which answers, is not known here.

    Args:
        lock: guards the table against threads.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        # Not a dict, which passes over what was deleted from its front each time that its first item is asked for.
        self._requests: OrderedDict[bytes, KnownRequest] = OrderedDict()

    def find(self, path: str, body: bytes) -> KnownRequest | None:
        """Return the request that a body of a route is, None if it is not known.

        Args:
            path: path of the route, whose dialect the body is in.
            body: the body.
        """
        return self._requests.get(_digest(path, body)) if len(body) <= MAX_BYTES else None

    def add(self, path: str, body: bytes, request: KnownRequest) -> None:
        """Know a body of a route from now on, if it is not too large."""
        if len(body) > MAX_BYTES:
            return
        with self._lock:
            self._requests[_digest(path, body)] = request
            if len(self._requests) > MAX_BODIES:
                self._requests.popitem(last=False)


def _digest(path: str, body: bytes) -> bytes:
    # No path has a line feed.
    return sha256(b"%b\n%b" % (path.encode(), body)).digest()
