"""Limits on requests in the other storages of the `limits` package: Memcached, MongoDB, Valkey, and Redis with Cluster or Sentinel.

They can less than `RedisAdmission` (FAULTS section 3.1), which is why they count requests only. Several limits are charged one after
another, so a race for the last place of one of them may cost a place of the others; nothing is given back; what is sent again counts again.
"""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from inspect import isawaitable
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from limits.storage import storage_from_string

from completions_mw.backends.time_limit import TimeLimit
from completions_mw.core.ports import Admission, Clock, Lease, LimitState, StoreError, StoreRefusalError, StoreTimeoutError, Window
from completions_mw.errors import ConfigurationError
from completions_mw.settings import Limits

_TIMEOUT: Final = 0.05
"""Seconds for each step."""
_SLOW_TIMEOUT: Final = 0.5
"""For MongoDB, which first finds out who its servers are."""
MAX_WINDOW_SECONDS: Final = 30 * 86_400
"""Memcached takes a longer time for a date, which has passed."""
_CLIENTS: Final = {
    "memcached": ("pymemcache", "memcachio"),
    "mongodb": ("pymongo", "motor"),
    "redis": ("redis", "redis"),
    "valkey": ("valkey", "valkey"),
    "valkeys": ("valkey", "valkey"),
}
"""The packages that a blocking and an async gateway need, by the first word of the scheme."""


def unsupported(limits: Limits) -> str | None:
    """Return which of the limits these storages cannot keep, for the error that names the setting; None if they can keep them all."""
    if limits.tokens:
        return "limits on tokens need memory:// or redis://"
    if limits.concurrency is not None:
        return "limits on concurrency need memory:// or redis://"
    if any(rate.seconds > MAX_WINDOW_SECONDS for rate in limits.requests):
        return "limits over more than 30 days need memory:// or redis://"
    return None


class Session(Protocol):
    """Calls the methods of a storage."""

    async def call(self, method: str, *arguments: str | int) -> float: ...
    async def aclose(self) -> None: ...


class LimitsAdmission:
    """The `AdmissionStore` port over a storage of `limits`, with fixed windows, for requests only.

    Args:
        session: blocking or async.
        namespace: what all names start with.
        clock: whose wall clock is compared with the ends of windows.
    """

    def __init__(self, session: Session, namespace: str, clock: Clock) -> None:
        self._session = session
        self._namespace = namespace
        self._time = clock.time

    async def admit(self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], lease_ms: int) -> Admission:
        """Look at all windows, then charge them, one after another."""
        if leases or any(window.refundable or window.seconds > MAX_WINDOW_SECONDS for window in windows):
            raise StoreRefusalError("The storage counts requests only, over 30 days at most: other limits need memory:// or redis://")
        used = [await self._count("get", self._key(window)) for window in windows]
        admitted = all(count + window.cost <= window.limit for count, window in zip(used, windows, strict=True))
        if admitted:
            # `incr` tells the count with our own cost: whoever lost a race sees it here.
            used = [await self._count("incr", self._key(window), window.seconds, window.cost) for window in windows]
            admitted = all(count <= window.limit for count, window in zip(used, windows, strict=True))
        standings = [await self._standing(window, count) for window, count in zip(windows, used, strict=True)]
        return Admission(admitted, tuple(standings), ())

    async def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int) -> list[str]:
        """Nothing is leased."""
        return []

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """Nothing is given back."""

    async def check(self) -> list[str]:
        """Reach the storage.

        Raises:
            StoreError: it does not answer.
        """
        await self._count("get", self._named("check"))
        return []

    async def aclose(self) -> None:
        """Close the connections of this process and event loop."""
        await self._session.aclose()

    async def _standing(self, window: Window, used: int) -> LimitState:
        if not used:
            return LimitState(0, 0)
        end = await self._call("get_expiry", self._key(window))
        return LimitState(used, max(1, int((end - self._time()) * 1000)))

    async def _count(self, method: str, *arguments: str | int) -> int:
        return int(await self._call(method, *arguments))

    async def _call(self, method: str, *arguments: str | int) -> float:
        try:
            return await self._session.call(method, *arguments)
        except TimeoutError as error:
            raise StoreTimeoutError(f"The storage did not answer in time: {type(error).__name__}") from None
        except Exception as error:
            # Each client has exceptions of its own, and their texts quote addresses and names.
            raise StoreError(f"The storage failed: {type(error).__name__}") from None

    def _key(self, window: Window) -> str:
        return self._named(window.bucket)

    def _named(self, bucket: str) -> str:
        # Memcached's names are short and know no spaces; those of `limits` run into each other at slashes.
        return f"{self._namespace}/{hashlib.sha256(bucket.encode('utf-8', 'surrogatepass')).hexdigest()}"


class BlockingStorage:
    """For threads and greenlets. Each process has its own clients."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._storages: dict[int, Any] = {}

    async def call(self, method: str, *arguments: str | int) -> float:
        """Call a method of the storage and return what it returns."""
        storage = self._storages.get(os.getpid())
        if storage is None:
            storage = self._storages.setdefault(os.getpid(), storage_from_string(self._address, **_options(self._address)))
        count: float = getattr(storage, method)(*arguments)
        return count

    async def aclose(self) -> None:
        """Close the client of this process, and of this thread where each has its own."""
        await _close(self._storages.pop(os.getpid(), None))


class AsyncStorage:
    """For asyncio. Each event loop has its own clients."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._timeout = _seconds(address)
        self._storages: MutableMapping[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    async def call(self, method: str, *arguments: str | int) -> float:
        """Call a method of the storage and return what it returns."""
        loop = asyncio.get_running_loop()
        storage = self._storages.get(loop)
        if storage is None:
            storage = self._storages[loop] = storage_from_string(f"async+{self._address}", **_async_options(self._address))
        work: Awaitable[float] = getattr(storage, method)(*arguments)
        async with TimeLimit(self._timeout):
            return await work

    async def aclose(self) -> None:
        """Close the client of this event loop."""
        with suppress(TimeoutError):
            async with TimeLimit(self._timeout):
                await _close(self._storages.pop(asyncio.get_running_loop(), None))


def limits_admission(address: str, namespace: str, *, blocking: bool, clock: Clock) -> LimitsAdmission:
    """Return the store at `address`.

    Raises:
        ConfigurationError: the package that reaches it is not installed.
    """
    package = _CLIENTS[_kind(address)][0 if blocking else 1]
    if find_spec(package) is None:
        raise ConfigurationError(f"stores.admission: {_kind(address)} needs {package}: pip install {package}")
    return LimitsAdmission(BlockingStorage(address) if blocking else AsyncStorage(address), namespace, clock)


def _kind(address: str) -> str:
    return address.partition(":")[0].partition("+")[0]


def _seconds(address: str) -> float:
    return _SLOW_TIMEOUT if _kind(address) == "mongodb" else _TIMEOUT


def _options(address: str) -> dict[str, Any]:
    """Return what keeps a client from waiting for ever, which is what most of them do by default."""
    seconds = _seconds(address)
    match _kind(address):
        case "memcached":
            return {"timeout": seconds, "connect_timeout": seconds, "no_delay": True}
        case "mongodb":
            return dict.fromkeys(("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), int(seconds * 1000))
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, **_exact(address)}


def _async_options(address: str) -> dict[str, Any]:
    # The limit on the whole call is the only one where it can be: those of clients pass while the event loop is busy.
    match _kind(address):
        case "mongodb":
            return _options(address)
        case "redis":
            # `limits` would look for coredis.
            return {"implementation": "redispy", **_exact(address)}
    return _exact(address)


def _exact(address: str) -> dict[str, bool]:
    # Replicas lag behind.
    return {"use_replicas": False} if "+sentinel:" in address else {}


async def _close(storage: Any) -> None:
    client = getattr(getattr(storage, "bridge", storage), "storage", None)
    close = getattr(client, "aclose", None) or getattr(client, "close", None)
    if close is not None:
        closing = close()
        if isawaitable(closing):
            await closing
