"""Rate limits on requests in the other storages of the `limits` package: Memcached, MongoDB, Valkey, and Redis with Cluster or Sentinel.

These storages cannot check several limits at once, refund tokens or grant leases, so they count requests only. Several limits are charged
one after another: a race for the last request under one limit may cost a request under the others. Nothing is given back, and a request
that is sent again counts again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Final, Protocol

from completions_mw.backends.limits_clients import AsyncStorage, BlockingStorage, storage_kind
from completions_mw.core.ports import Admission, Clock, Lease, StoreError, StoreRefusalError, StoreTimeoutError, TokenDemand, Window
from completions_mw.errors import ConfigurationError
from completions_mw.settings import Limits

MAX_WINDOW_SECONDS: Final = 30 * 86_400
"""Seconds of a window at most: Memcached reads a longer time to live as a date, which has passed."""
_CLIENT_PACKAGES: Final = {
    "memcached": ("pymemcache", "memcachio"),
    "mongodb": ("pymongo", "motor"),
    "redis": ("redis", "redis"),
    "valkey": ("valkey", "valkey"),
    "valkeys": ("valkey", "valkey"),
}
"""The packages that a blocking and an async gateway need, by the first word of the address's scheme."""


def unsupported(limits: Limits) -> str | None:
    """Return why storages of the `limits` package cannot keep `limits`, for the error that names the setting; None if they can."""
    if limits.tokens:
        return "limits on tokens need memory:// or redis://"
    if limits.concurrency is not None:
        return "limits on concurrency need memory:// or redis://"
    if any(rate.seconds > MAX_WINDOW_SECONDS for rate in limits.requests):
        return "limits over more than 30 days need memory:// or redis://"
    return None


class Session(Protocol):
    """Calls the methods of a storage."""

    async def call(self, method: str, *arguments: str | int) -> float:
        """Call `method` of the storage and return its result. Raises what the storage's client raises."""
        ...

    async def aclose(self) -> None: ...


class LimitsAdmission:
    """The `AdmissionStore` port over a storage of `limits`: fixed windows, for requests only.

    Args:
        session: calls the storage, blocking or async.
        namespace: the prefix of all names in the storage.
        clock: its wall clock is compared with the ends of windows.
    """

    def __init__(self, session: Session, namespace: str, clock: Clock) -> None:
        self._session = session
        self._namespace = namespace
        self._time = clock.time

    async def admit(
        self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], demand: TokenDemand, lease_ms: int
    ) -> Admission:
        """Check all windows, then charge them, one after another.

        Raises:
            StoreRefusalError: a limit is not on requests, or its window is too long.
            StoreError: the storage fails.
        """
        if leases or any(window.counts_tokens or window.seconds > MAX_WINDOW_SECONDS for window in windows):
            raise StoreRefusalError("The storage counts requests only, over 30 days at most: other limits need memory:// or redis://")
        used = [await self._count("get", self._key(window)) for window in windows]
        admitted = all(count < window.limit for count, window in zip(used, windows, strict=True))
        if admitted:
            # `incr` returns the count including this request: the loser of a race is refused here.
            used = [await self._count("incr", self._key(window), window.seconds, 1) for window in windows]
            admitted = all(count <= window.limit for count, window in zip(used, windows, strict=True))
        reset_ms = [await self._reset_ms(window) if count else 0 for window, count in zip(windows, used, strict=True)]
        return Admission(admitted, used, reset_ms, [])

    async def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int) -> list[str]:
        """Return nothing: no leases are granted."""
        return []

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """Do nothing: nothing is given back."""

    async def check(self) -> list[str]:
        """Reach the storage.

        Raises:
            StoreError: the storage does not answer.
        """
        await self._count("get", self._named("check"))
        return []

    async def aclose(self) -> None:
        """Close the connections of this process and event loop."""
        await self._session.aclose()

    async def _reset_ms(self, window: Window) -> int:
        end = await self._call("get_expiry", self._key(window))
        return max(1, int((end - self._time()) * 1000))

    async def _count(self, method: str, *arguments: str | int) -> int:
        return int(await self._call(method, *arguments))

    async def _call(self, method: str, *arguments: str | int) -> float:
        try:
            return await self._session.call(method, *arguments)
        except TimeoutError as error:
            raise StoreTimeoutError(f"The storage did not answer in time: {type(error).__name__}") from None
        except Exception as error:
            # Each client has its own exceptions, whose texts quote addresses and names.
            raise StoreError(f"The storage failed: {type(error).__name__}") from None

    def _key(self, window: Window) -> str:
        return self._named(window.bucket)

    def _named(self, bucket: str) -> str:
        # Names in Memcached are short and without spaces, and `limits` joins parts of names by slashes without escaping them.
        return f"{self._namespace}/{hashlib.sha256(bucket.encode('utf-8', 'surrogatepass')).hexdigest()}"


def limits_admission(address: str, namespace: str, *, blocking: bool, clock: Clock) -> LimitsAdmission:
    """Return the store at `address`. Nothing is opened before the store is used.

    Args:
        address: as in `stores.admission` of the settings.
        namespace: the prefix of all names in the storage.
        blocking: whether the store is for threads and greenlets, or for event loops.
        clock: its wall clock is compared with the ends of windows.

    Raises:
        ConfigurationError: the package that reaches the storage is not installed.
    """
    package = _CLIENT_PACKAGES[storage_kind(address)][0 if blocking else 1]
    if find_spec(package) is None:
        raise ConfigurationError(f"stores.admission: {storage_kind(address)} needs {package}: pip install {package}")
    return LimitsAdmission(BlockingStorage(address) if blocking else AsyncStorage(address), namespace, clock)
