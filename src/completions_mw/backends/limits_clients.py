"""The storages of the `limits` package, called from threads and greenlets or from event loops, with a time limit for each call."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from inspect import isawaitable
from threading import Lock
from typing import Any, Final

from limits.storage import storage_from_string

from completions_mw.backends.ownership import PerLoop, PerProcess
from completions_mw.backends.time_limit import TimeLimit

_CALL_TIMEOUT: Final = 0.05
"""Seconds for each call of a storage."""
_MONGODB_TIMEOUT: Final = 0.5
"""Seconds for each call of MongoDB, whose client first finds out which servers there are."""


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


def storage_kind(address: str) -> str:
    """Return the kind of storage at an address: the first word of its scheme, such as `memcached`."""
    return address.partition(":")[0].partition("+")[0]


def _seconds(address: str) -> float:
    return _MONGODB_TIMEOUT if storage_kind(address) == "mongodb" else _CALL_TIMEOUT


def _options(address: str) -> dict[str, Any]:
    """Return the options of a blocking client: time-outs, since most clients have none by default."""
    seconds = _seconds(address)
    match storage_kind(address):
        case "memcached":
            return {"timeout": seconds, "connect_timeout": seconds, "no_delay": True}
        case "mongodb":
            return dict.fromkeys(("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), int(seconds * 1000))
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, **_exact(address)}


def _async_options(address: str) -> dict[str, Any]:
    # Without time-outs where possible, since `TimeLimit` is around each call: time-outs of clients pass while the event loop is busy.
    match storage_kind(address):
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
