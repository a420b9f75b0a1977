"""Look-up of a key's owner: by the SHA-256 of the secret, in the settings or in the database."""

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple, Protocol

from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import KeyFinder
from completions_mw.settings import KeySettings


def digest_of(token: str) -> bytes:
    """Return the SHA-256 of a token, by which its owner is looked up."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


class Owner(NamedTuple):
    """The caller to whom a key belongs, and whether the key may be used."""

    caller: Caller
    disabled: bool = False
    expires_at: float | None = None
    """Seconds since the epoch; None for a key that never expires."""


class Owners(Protocol):
    """Finds the owner of a key."""

    async def find(self, digest: bytes) -> Owner | None:
        """Return the owner of the key whose secret has this SHA-256, also of a key that may not be used; None if there is no such key.

        Raises:
            ServiceUnavailableError: the keys cannot be read.
        """
        ...


class SettingsKeys:
    """Finds owners among the keys of the settings.

    Args:
        keys: the tables `[keys.<name>]`, by name; the name is the caller's id.
    """

    def __init__(self, keys: Mapping[str, KeySettings]) -> None:
        self._owners = {bytes.fromhex(key.secret_sha256): _owner(id, key) for id, key in keys.items()}

    async def find(self, digest: bytes) -> Owner | None:
        return self._owners.get(digest)


class StoredKeys:
    """Finds owners among the keys of a store.

    Args:
        store: finds keys by their SHA-256.
    """

    def __init__(self, store: KeyFinder) -> None:
        self._store = store

    async def find(self, digest: bytes) -> Owner | None:
        found = await self._store.find(digest)
        if found is None:
            return None
        key, secret = found
        caller = Caller(key.id, key.tenant, key.models, key.metadata, key.limits, key.budget, key.max_cost, scope="key")
        ends = [end for end in (key.expires_at, secret.expires_at) if end is not None]
        return Owner(caller, key.disabled, min(ends, default=None))


def _owner(id: str, key: KeySettings) -> Owner:
    models = None if key.models is None else frozenset(key.models)
    caller = Caller(id, key.tenant or "", models, key.metadata, key.limits, key.budget, key.max_cost, scope="key")
    return Owner(caller, key.disabled, key.expires_at.timestamp() if key.expires_at else None)
