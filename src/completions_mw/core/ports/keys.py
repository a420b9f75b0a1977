"""The keys that are kept in the ledger's database."""

from collections.abc import Mapping
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


class KeyStore(Protocol):
    """Where keys are kept. Each method is one transaction."""

    async def find(self, digest: bytes) -> tuple[KeyRecord, SecretRecord] | None:
        """Return the key with that secret, whether it is valid or not."""
        ...

    async def insert(self, key: KeyRecord, secret: SecretRecord) -> None:
        """Keep a new key.

        Raises:
            ValueError: its id or its secret is there already.
        """
        ...

    async def replace(self, key: KeyRecord) -> bool:
        """Change everything but the id, the secrets and the time of creation; tell whether the key exists."""
        ...

    async def rotate(self, id: str, secret: SecretRecord, old_until: float) -> bool:
        """Add a secret and let the older ones end at a time, if they don't end before; tell whether the key exists."""
        ...

    async def get(self, id: str) -> KeyRecord | None:
        """Return a key by its id."""
        ...

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        """Return all keys, or those of a tenant, the oldest first."""
        ...
