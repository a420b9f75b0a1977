"""Opens the store of rate limits at an address of the settings. A store's client is imported only if an address needs it."""

from typing import Protocol

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.core.ports import AdmissionStore, Clock
from completions_mw.errors import ConfigurationError


class CheckedAdmissionStore(AdmissionStore, Protocol):
    """An `AdmissionStore` that can be checked before the first request."""

    async def check(self) -> list[str]:
        """Reach the store and return warnings for the operator, such as a setting of the server that may lose limits.

        Raises:
            StoreError: the store does not answer.
        """
        ...


def admission_store(address: str, namespace: str, *, blocking: bool, clock: Clock = SYSTEM_CLOCK) -> CheckedAdmissionStore:
    """Return the store at `address`. Nothing is opened before the store is used.

    Args:
        address: as in `stores.admission` of the settings.
        namespace: the prefix of all names in a shared store.
        blocking: whether the store is for threads and greenlets, or for event loops.
        clock: the time of a store in memory.

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
