"""Owners of keys, which are known by the SHA-256 of their secrets: those of the settings, and those of the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import KeyRecord, SecretRecord
from completions_mw.settings import KeySettings


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


def stored_owner(key: KeyRecord, secret: SecretRecord) -> Owner:
    """Return the owner of a stored key that was found by one of its secrets."""
    caller = Caller(key.id, key.tenant, key.models, key.metadata, key.limits, key.budget, key.max_cost, scope="key")
    ends = [end for end in (key.expires_at, secret.expires_at) if end is not None]
    return Owner(caller, key.disabled, min(ends, default=None))


def _owner(id: str, key: KeySettings) -> Owner:
    models = None if key.models is None else frozenset(key.models)
    caller = Caller(id, key.tenant or "", models, key.metadata, key.limits, key.budget, key.max_cost, scope="key")
    return Owner(caller, key.disabled, key.expires_at.timestamp() if key.expires_at else None)
