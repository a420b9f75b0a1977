"""The port of response stores, which keep complete answers for a while.

Stores raise `core.ports.failures`. `core.cache.guarded_store` turns a failure into a miss.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self


class CacheKey(NamedTuple):
    """Key of a stored answer. Requests have the same digest exactly if they are in one scope and equal in all that affects the answer."""

    digest: bytes
    """SHA-256 of the scope, the model and the request."""
    scope: str
    """Scope whose requests may share the answer, as `tenant:acme`; for purges."""
    model: str
    """Model name that the client asked for; for purges."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A complete answer in both of its forms, as bytes that are sent without being rendered again. Embeddings have no stream."""

    texts: bytes
    """`body`, `chunks` and `usage` one after the other: one object leaves fewer gaps in memory than three."""
    chunks_at: int
    """Where `chunks` begins in `texts`."""
    usage_at: int
    """Where `usage` begins in `texts`."""
    target: str
    """`provider/model` of the target that gave the answer."""

    @classmethod
    def of(cls, body: bytes, chunks: bytes, usage: bytes, target: str) -> Self:
        """Return the answer with these texts."""
        return cls(body + chunks + usage, len(body), len(body) + len(chunks), target)

    @property
    def body(self) -> bytes:
        """The `chat.completion` object, or the `list` object of embeddings, as JSON."""
        return self.texts[: self.chunks_at]

    @property
    def chunks(self) -> bytes:
        """The server-sent events of the streamed answer: one `data: {...}` for each chunk, without usage and without `[DONE]`.

        Embeddings have none.
        """
        return self.texts[self.chunks_at : self.usage_at]

    @property
    def usage(self) -> bytes:
        """The server-sent event of the chunk that carries the usage, the last one of a stream that asks for usage.

        Of embeddings it has only the usage.
        """
        return self.texts[self.usage_at :]

    @property
    def size(self) -> int:
        """Number of bytes of both forms."""
        return len(self.texts)


@dataclass(slots=True)
class FoundAnswer:
    """A stored answer, its age, and how long it is kept."""

    answer: StoredAnswer
    age_ms: int
    """Milliseconds since the answer was stored."""
    left_ms: int
    """Milliseconds until the answer expires."""


class PurgeFilter(NamedTuple):
    """Selection of stored answers. An answer is removed if it is selected by both members."""

    scopes: tuple[str, ...] | None = None
    """Scopes whose answers are selected; None for all scopes."""
    model: str | None = None
    """Model whose answers are selected; None for all models."""


class StoreContents(NamedTuple):
    """What a response store holds."""

    entries: int
    """Number of stored answers. A store in memory counts expired ones until their space is needed."""
    bytes: int
    """Bytes that the stored answers take."""


class ResponseStore(Protocol):
    """Keeps answers for a while. A value that this library has not written, or that was changed, is a miss and not an error."""

    async def get(self, key: CacheKey) -> FoundAnswer | None:
        """Return the answer under a key; None if there is none.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def put(self, key: CacheKey, answer: StoredAnswer, ttl_ms: int, age_ms: int = 0) -> None:
        """Store an answer.

        Args:
            key: key of the answer.
            answer: the answer.
            ttl_ms: milliseconds for which the answer is kept.
            age_ms: age of an answer that comes from another store.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def purge(self, selected: PurgeFilter) -> int:
        """Remove answers and return how many were removed.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def contents(self) -> StoreContents:
        """Return what the store holds.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def aclose(self) -> None: ...


class Claim(NamedTuple):
    """Answer of a shared store to a process that is about to call an upstream."""

    found: FoundAnswer | None = None
    """The answer, if another process has stored it meanwhile."""
    is_granted: bool = False
    """Whether this process may call the upstream. If not, and nothing was found, another process is calling the upstream."""
    is_leased: bool = False
    """Whether this process holds the lease, which it is to renew and to give back."""


class FlightLeases(Protocol):
    """Leases of a shared store, so that of all processes one calls the upstream for a key (docs/caching.md, One call for many requests).

    A store in the memory of one process has none.
    """

    async def claim(self, key: CacheKey, owner: str, lease_ms: int) -> Claim:
        """Look for the answer under a key, and take the lease of the key if there is no answer and nobody holds the lease.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def renew(self, owners: Mapping[CacheKey, str], lease_ms: int) -> None:
        """Extend leases, given by key with their owner, unless somebody else holds them now.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def release(self, key: CacheKey, owner: str, open_ms: int) -> None:
        """End a lease, if `owner` still holds it.

        Args:
            key: the key.
            owner: owner of the lease.
            open_ms: milliseconds for which every claim is granted then without a lease, since there will be no answer to wait for; 0 for
                none.

        Raises:
            StoreError: the store does not answer.
        """
        ...


class SharedResponseStore(ResponseStore, FlightLeases, Protocol):
    """A response store that all processes of a deployment share."""

    async def check(self) -> list[str]:
        """Reach the store and return warnings for the operator.

        Raises:
            StoreError: the store does not answer.
        """
        ...
