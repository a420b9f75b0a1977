"""Whose key is it: the keys of the settings and those of the database, asked in the same way."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import KeyFinder
from completions_mw.settings import KeySettings


class Owner(NamedTuple):
    """The caller whose key it is, and whether the key may be used."""

    caller: Caller
    disabled: bool = False
    expires_at: float | None = None
    """Seconds since the epoch; None for never."""

    def is_valid(self, now: float) -> bool:
        """Tell whether the key may be used at the time `now` (seconds since the epoch)."""
        return not self.disabled and (self.expires_at is None or now < self.expires_at)


class Owners(Protocol):
    """Where the owner of a key is looked up by the SHA-256 of its secret."""

    async def find(self, digest: bytes) -> Owner | None:
        """Return the owner of the key whose secret has this digest, whether the key may be used or not.

        Raises:
            ServiceUnavailableError: the keys cannot be read.
        """
        ...


class SettingsKeys:
    """The keys of the settings, in memory.

    Args:
        keys: the tables `[keys.<name>]`; their names are the ids of the callers.
    """

    def __init__(self, keys: Mapping[str, KeySettings]) -> None:
        self._owners = {bytes.fromhex(key.secret_sha256): _owner(id, key) for id, key in keys.items()}

    async def find(self, digest: bytes) -> Owner | None:
        return self._owners.get(digest)


class StoredKeys:
    """The keys of a store.

    Args:
        store: finds keys by their digests.
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
    caller = Caller(id, key.tenant or id, models, key.metadata, key.limits, key.budget, key.max_cost, scope="key")
    return Owner(caller, key.disabled, key.expires_at.timestamp() if key.expires_at else None)
