"""Rate limits on requests in the other storages of the `limits` package: Memcached, MongoDB, Valkey, and Redis with Cluster or Sentinel.

These storages cannot check several limits at once, refund tokens or grant leases, so they count requests only. Several limits are charged
one after another: a race for the last request under one limit may cost a request under the others. Nothing is given back, and a request
that is sent again counts again.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from inspect import isawaitable
from threading import Lock
from typing import Any, Final, Protocol

from limits.storage import storage_from_string

from completions_mw.backends.ownership import PerLoop, PerProcess
from completions_mw.backends.time_limit import TimeLimit
from completions_mw.core.ports import Admission, Clock, Lease, LimitState, StoreError, StoreRefusalError, StoreTimeoutError, Window
from completions_mw.errors import ConfigurationError
from completions_mw.settings import Limits

_CALL_TIMEOUT: Final = 0.05
"""Seconds for each call of a storage."""
_MONGODB_TIMEOUT: Final = 0.5
"""Seconds for each call of MongoDB, whose client first finds out which servers there are."""
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

    async def admit(self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], lease_ms: int) -> Admission:
        """Check all windows, then charge them, one after another.

        Raises:
            StoreRefusalError: a limit is not on requests, or its window is too long.
            StoreError: the storage fails.
        """
        if leases or any(window.refundable or window.seconds > MAX_WINDOW_SECONDS for window in windows):
            raise StoreRefusalError("The storage counts requests only, over 30 days at most: other limits need memory:// or redis://")
        used = [await self._count("get", self._key(window)) for window in windows]
        admitted = all(count + window.cost <= window.limit for count, window in zip(used, windows, strict=True))
        if admitted:
            # `incr` returns the count including this request: the loser of a race is refused here.
            used = [await self._count("incr", self._key(window), window.seconds, window.cost) for window in windows]
            admitted = all(count <= window.limit for count, window in zip(used, windows, strict=True))
        states = [await self._state(window, count) for window, count in zip(windows, used, strict=True)]
        return Admission(admitted, tuple(states), ())

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

    async def _state(self, window: Window, used: int) -> LimitState:
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
            # Each client has its own exceptions, whose texts quote addresses and names.
            raise StoreError(f"The storage failed: {type(error).__name__}") from None

    def _key(self, window: Window) -> str:
        return self._named(window.bucket)

    def _named(self, bucket: str) -> str:
        # Names in Memcached are short and without spaces, and `limits` joins parts of names by slashes without escaping them.
        return f"{self._namespace}/{hashlib.sha256(bucket.encode('utf-8', 'surrogatepass')).hexdigest()}"


class BlockingStorage(PerProcess):
    """Calls a storage of `limits` from threads and greenlets. Each process has its own client.

    Args:
        address: as `limits` takes it.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def reset(self) -> None:
        self._lock = Lock()
        self._opened: Any = None

    async def call(self, method: str, *arguments: str | int) -> float:
        count: float = getattr(self._storage(), method)(*arguments)
        return count

    async def aclose(self) -> None:
        """Close the client of this process, and of this thread where each thread has its own."""
        with self._lock:
            storage, self._opened = self._opened, None
        _closer(storage)()

    def _storage(self) -> Any:
        if (storage := self._opened) is None:
            with self._lock:
                if (storage := self._opened) is None:
                    storage = self._opened = storage_from_string(self._address, **_options(self._address))
        return storage


class AsyncStorage:
    """Calls a storage of `limits` from event loops, each of which has its own client.

    Args:
        address: as `limits` takes it, for a blocking client.
    """

    def __init__(self, address: str) -> None:
        self._timeout = _seconds(address)
        self._storages: PerLoop[Any] = PerLoop(lambda: storage_from_string(f"async+{address}", **_async_options(address)))

    async def call(self, method: str, *arguments: str | int) -> float:
        work: Awaitable[float] = getattr(self._storages.get(), method)(*arguments)
        async with TimeLimit(self._timeout):
            return await work

    async def aclose(self) -> None:
        """Close the client of the running event loop."""
        with suppress(TimeoutError):
            async with TimeLimit(self._timeout):
                closing = _closer(self._storages.pop())()
                if isawaitable(closing):
                    await closing


def limits_admission(address: str, namespace: str, *, blocking: bool, clock: Clock) -> LimitsAdmission:
    """Return the store at `address`. Nothing is opened before it is used.

    Args:
        address: as in `stores.admission` of the settings.
        namespace: the prefix of all names in the storage.
        blocking: whether the store is for threads and greenlets, or for event loops.
        clock: its wall clock is compared with the ends of windows.

    Raises:
        ConfigurationError: the package that reaches the storage is not installed.
    """
    package = _CLIENT_PACKAGES[_kind(address)][0 if blocking else 1]
    if find_spec(package) is None:
        raise ConfigurationError(f"stores.admission: {_kind(address)} needs {package}: pip install {package}")
    return LimitsAdmission(BlockingStorage(address) if blocking else AsyncStorage(address), namespace, clock)


def _kind(address: str) -> str:
    return address.partition(":")[0].partition("+")[0]


def _seconds(address: str) -> float:
    return _MONGODB_TIMEOUT if _kind(address) == "mongodb" else _CALL_TIMEOUT


def _options(address: str) -> dict[str, Any]:
    """Return the options of a blocking client: time-outs, since most clients have none by default."""
    seconds = _seconds(address)
    match _kind(address):
        case "memcached":
            return {"timeout": seconds, "connect_timeout": seconds, "no_delay": True}
        case "mongodb":
            return dict.fromkeys(("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), int(seconds * 1000))
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, **_exact(address)}


def _async_options(address: str) -> dict[str, Any]:
    # Without time-outs where possible, since `TimeLimit` is around each call: time-outs of clients pass while the event loop is busy.
    match _kind(address):
        case "mongodb":
            return _options(address)
        case "redis":
            # By default `limits` takes coredis.
            return {"implementation": "redispy", **_exact(address)}
    return _exact(address)


def _exact(address: str) -> dict[str, bool]:
    # The counters of replicas lag behind.
    return {"use_replicas": False} if "+sentinel:" in address else {}


def _closer(storage: Any) -> Callable[[], Any]:
    """Return the function that closes the client of a storage; that of an async client may return an awaitable."""
    client = getattr(getattr(storage, "bridge", storage), "storage", None)
    close: Callable[[], Any] = getattr(client, "aclose", None) or getattr(client, "close", None) or _nothing
    return close


def _nothing() -> None:
    """Do nothing: the `close` of clients without one."""
