"""The port of stored keys, which are kept in the ledger's database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, Protocol

from completions_mw.settings import Budget, Limits


class SecretRecord(NamedTuple):
    """One secret of a key, without its text. After a rotation, a key has two valid secrets for a while."""

    public_id: str
    """Part of the secret that may be shown."""
    digest: bytes
    """SHA-256 of the whole secret."""
    expires_at: float | None = None
    """Seconds since the epoch; None for a secret that never expires."""
    created_at: float = 0.0
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A stored key, without its secrets."""

    id: str
    name: str
    """Label for operators; need not be unique."""
    tenant: str
    """Organization whose limits and budget the key shares; empty for none."""
    models: frozenset[str] | None = None
    """Names of models that the key may use; None for all."""
    limits: Limits = field(default_factory=Limits)
    budget: Budget | None = None
    max_cost: Decimal | None = None
    """USD that one request may cost at most."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    disabled: bool = False
    expires_at: float | None = None
    """Seconds since the epoch; None for a key that never expires."""
    created_at: float = 0.0
    """Seconds since the epoch."""
    public_ids: tuple[str, ...] = ()
    """Public ids of the key's secrets, the newest first."""


FoundKey = tuple[KeyRecord, SecretRecord]
"""A stored key, and the secret by which it was found."""


class KeyExistsError(ValueError):
    """A key with the same id or secret is stored already."""

    def __init__(self) -> None:
        super().__init__("a key with this secret is stored already")


class KeyFinder(Protocol):
    """Looks up keys by their secrets."""

    async def find(self, digest: bytes) -> FoundKey | None:
        """Return the key whose secret has this SHA-256, also a disabled or expired one; None if there is no such key.

        Raises:
            StoreError: the store does not answer.
        """
        ...


class KeyStore(KeyFinder, Protocol):
    """Keeps keys. Each method is one transaction, and raises `StoreError` if it fails; times are kept to the microsecond."""

    async def insert(self, keys: Sequence[tuple[KeyRecord, SecretRecord]]) -> None:
        """Store new keys, all of them or none.

        Raises:
            KeyExistsError: an id or a secret is stored already, or given twice.
        """
        ...

    async def change(self, id: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord | None:
        """Replace a key by the result of `change`, and return it; None if there is no such key.

        The key is locked meanwhile. Its id, its secrets and its time of creation are not changed.

        Args:
            id: id of the key, or public id of one of its secrets.
            change: returns the changed key; an exception that it raises is passed on, and nothing is changed.
        """
        ...

    async def rotate(self, id: str, secret: SecretRecord, old_until: float) -> bool:
        """Add a secret to a key, and let its older secrets expire; return whether the key exists.

        Args:
            id: id of the key.
            secret: the new secret.
            old_until: seconds since the epoch at which older secrets expire, unless they expire earlier.
        """
        ...

    async def get(self, id: str) -> KeyRecord | None:
        """Return a key by its id, or by the public id of one of its secrets; None if there is no such key."""
        ...

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        """Return all keys, or the keys of one tenant, the oldest first."""
        ...
