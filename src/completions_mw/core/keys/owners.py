"""Owners of keys, which are known by the SHA-256 of their secrets: those of the settings, and those of the database."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import FoundKey, KeyRecord, SecretRecord
from completions_mw.settings import KeySettings

MAX_STORED_OWNERS: Final = 10_000
"""Number of owners that are kept; of more, the one that was made first is dropped."""


def digest_of(token: str) -> bytes:
    """Return the SHA-256 of a token, by which its owner is looked up."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class Owner:
    """The caller to whom a key belongs, and whether the key may be used."""

    caller: Caller
    disabled: bool = False
    expires_at: float | None = None
    """Seconds since the epoch; None for a key that never expires."""


def owners_of(keys: Mapping[str, KeySettings]) -> dict[bytes, Owner]:
    """Return the owners of the keys in the tables `[keys.<name>]`, by the SHA-256 of their secrets; the name is the caller's id."""
    return {bytes.fromhex(key.secret_sha256): _owner(id, key) for id, key in keys.items()}


class StoredOwners:
    """Keeps the owners of stored keys, since to make one its caller is validated. Where the store has a new record, a new one is made."""

    def __init__(self) -> None:
        # Each call of the table is atomic, so that threads need no lock.
        self._owners: OrderedDict[bytes, tuple[FoundKey, Owner]] = OrderedDict()

    def of(self, digest: bytes, found: FoundKey) -> Owner:
        """Return the owner of a key that was found by the secret with this SHA-256."""
        known = self._owners.get(digest)
        if known is not None and known[0] is found:
            return known[1]
        owner = _stored_owner(*found)
        self._owners[digest] = found, owner
        if len(self._owners) > MAX_STORED_OWNERS:
            self._owners.popitem(last=False)
        return owner


def _owner(id: str, key: KeySettings) -> Owner:
    models = None if key.models is None else frozenset(key.models)
    caller = Caller(id, key.tenant or "", models, key.metadata, key.limits, key.budget, key.max_cost, scope="key")
    return Owner(caller, key.disabled, key.expires_at.timestamp() if key.expires_at else None)


def _stored_owner(key: KeyRecord, secret: SecretRecord) -> Owner:
    caller = Caller(key.id, key.tenant, key.models, key.metadata, key.limits, key.budget, key.max_cost, scope="key")
    ends = [end for end in (key.expires_at, secret.expires_at) if end is not None]
    return Owner(caller, key.disabled, min(ends, default=None))
