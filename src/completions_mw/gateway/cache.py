"""The response cache from Python: the property `cache` of each gateway."""

from completions_mw.blocking import run_sync
from completions_mw.core.cache.cache import CacheStats, ResponseCache


class Cache:
    """The response cache of a `Gateway`."""

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache

    def purge(self, *, tenant: str | None = None, key: str | None = None, caller: str | None = None, model: str | None = None) -> int:
        """Remove cached answers, and return how many were removed. Without arguments all are removed.

        In Redis for all processes; in memory for this process alone.

        Args:
            tenant: remove only answers that this tenant shares.
            key: remove only answers that the key with this id has for itself: it has no tenant, or `cache.scope` is `key`.
            caller: remove only answers that this user of the app's login has for itself.
            model: remove only answers of this model.

        Raises:
            StoreError: the store does not answer.
        """
        return run_sync(self._cache.purge(tenant=tenant, key=key, caller=caller, model=model))

    def stats(self) -> CacheStats:
        """Return how requests were answered since this process started, and what the store holds.

        Raises:
            StoreError: the store does not answer.
        """
        return run_sync(self._cache.stats())


class AsyncCache:
    """The response cache of an `AsyncGateway`."""

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache

    async def purge(self, *, tenant: str | None = None, key: str | None = None, caller: str | None = None, model: str | None = None) -> int:
        """Remove cached answers, and return how many were removed. Without arguments all are removed.

        In Redis for all processes; in memory for this process alone.

        Args:
            tenant: remove only answers that this tenant shares.
            key: remove only answers that the key with this id has for itself: it has no tenant, or `cache.scope` is `key`.
            caller: remove only answers that this user of the app's login has for itself.
            model: remove only answers of this model.

        Raises:
            StoreError: the store does not answer.
        """
        return await self._cache.purge(tenant=tenant, key=key, caller=caller, model=model)

    async def stats(self) -> CacheStats:
        """Return how requests were answered since this process started, and what the store holds.

        Raises:
            StoreError: the store does not answer.
        """
        return await self._cache.stats()
