"""The keys that are kept in the ledger's database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, Protocol

from completions_mw.settings import Budget, Limits


class SecretRecord(NamedTuple):
    """What is kept of one secret of a key; two of them are valid for a while after a rotation."""

    public_id: str
    """The part of the key that may be shown."""
    digest: bytes
    """SHA-256 of the whole key."""
    expires_at: float | None = None
    """Seconds since the epoch."""
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key, without its secrets."""

    id: str
    name: str
    """For people; may hold any character, and need not be unique."""
    tenant: str
    models: frozenset[str] | None = None
    """The models that it may use; None for all."""
    limits: Limits = field(default_factory=Limits)
    budget: Budget | None = None
    max_cost: Decimal | None = None
    """USD that one request may cost at most."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    disabled: bool = False
    expires_at: float | None = None
    """Seconds since the epoch."""
    created_at: float = 0.0
    public_ids: tuple[str, ...] = ()
    """Of its secrets, the newest first."""


class KeyExistsError(ValueError):
    """A key with this id or secret is stored already."""

    def __init__(self) -> None:
        super().__init__("a key with this secret is stored already")


class KeyFinder(Protocol):
    """Where a key is looked up by its secret."""

    async def find(self, digest: bytes) -> tuple[KeyRecord, SecretRecord] | None:
        """Return the key whose secret has this SHA-256, whether the key may be used or not."""
        ...


class KeyStore(KeyFinder, Protocol):
    """Where keys are kept. Each method is one transaction; times are kept to the microsecond."""

    async def insert(self, keys: Sequence[tuple[KeyRecord, SecretRecord]]) -> None:
        """Keep new keys, all of them or none.

        Raises:
            KeyExistsError: an id or a secret is there already, or twice among them.
        """
        ...

    async def change(self, id: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord | None:
        """Let `change` tell how a key should be, and return it so; None where there is no such key.

        Nobody else changes the key meanwhile. Its id, its secrets and the time of its creation stay as they are.

        Args:
            id: the key's id, or the public id of a secret.
            change: what it raises is raised here, and nothing is changed.
        """
        ...

    async def rotate(self, id: str, secret: SecretRecord, old_until: float) -> bool:
        """Add a secret and let the older ones end at a time, if they don't end before; tell whether the key exists."""
        ...

    async def get(self, id: str) -> KeyRecord | None:
        """Return a key by its id, or by the public id of a secret."""
        ...

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        """Return all keys, or those of a tenant, the oldest first."""
        ...
