"""From an address to the store behind it. What a store needs is imported with it."""

from typing import Protocol

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.core.ports import AdmissionStore, Clock
from completions_mw.errors import ConfigurationError


class CheckedAdmissionStore(AdmissionStore, Protocol):
    """An `AdmissionStore` that can be tried before the first request."""

    async def check(self) -> list[str]:
        """Reach the store and return what the operator should know of it.

        Raises:
            StoreError: it does not answer.
        """
        ...


def admission_store(address: str, namespace: str, *, blocking: bool, clock: Clock = SYSTEM_CLOCK) -> CheckedAdmissionStore:
    """Return the store at `address`. Nothing is opened before it is used.

    Args:
        address: as in `stores.admission` of the settings.
        namespace: what the names in a shared store start with.
        blocking: whether it is for threads and greenlets, or for an event loop.
        clock: whose time a store in memory goes by.

    Raises:
        ConfigurationError: a package is missing, or the address has an option that the store does not know.
    """
    scheme = address.partition(":")[0]
    if scheme == "memory":
        return MemoryAdmission(clock)
    if scheme in ("redis", "rediss"):
        return _redis(address, namespace, blocking, clock)
    from completions_mw.backends.limits_storage import limits_admission

    return limits_admission(address, namespace, blocking=blocking, clock=clock)


def _redis(address: str, namespace: str, blocking: bool, clock: Clock) -> CheckedAdmissionStore:
    try:
        from completions_mw.backends.redis.admission import RedisAdmission
        from completions_mw.backends.redis.asynchronous import AsyncRedis
        from completions_mw.backends.redis.blocking import BlockingRedis
    except ImportError as error:
        raise ConfigurationError("stores.admission: Redis needs redis-py: pip install 'completions-mw[redis]'") from error
    return RedisAdmission(BlockingRedis(address) if blocking else AsyncRedis(address), namespace, clock)
