"""The key store as requests use it: while it is down, keys are answered with 503, not with 401 (docs/promises.md, Stores that fail)."""

from collections.abc import Callable, Sequence

from completions_mw.core.ports import KeyRecord, KeyStore, SecretRecord, StoreError, StoreOverloadedError
from completions_mw.core.resilience.store_health import StoreHealth, overloaded_error, unavailable_error


class GuardedKeys:
    """A `KeyStore` whose look-ups raise the error of a request. The management of keys gets the store's own errors.

    Args:
        store: store of the keys. A cache of look-ups belongs around this object, so that cached keys work while the store is down.
        health: breaker and log of the store.
    """

    def __init__(self, store: KeyStore, health: StoreHealth) -> None:
        self._store = store
        self._health = health

    async def find(self, digest: bytes) -> tuple[KeyRecord, SecretRecord] | None:
        try:
            return await self._health.call("closed", self._store.find, digest)
        except StoreOverloadedError as error:
            raise overloaded_error() from error
        except StoreError as error:
            raise unavailable_error("API keys cannot be checked at the moment. Please try again.", "auth_unavailable") from error

    async def insert(self, keys: Sequence[tuple[KeyRecord, SecretRecord]]) -> None:
        await self._store.insert(keys)

    async def change(self, id: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord | None:
        return await self._store.change(id, change)

    async def rotate(self, id: str, secret: SecretRecord, old_until: float) -> bool:
        return await self._store.rotate(id, secret, old_until)

    async def get(self, id: str) -> KeyRecord | None:
        return await self._store.get(id)

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        return await self._store.list(tenant)
