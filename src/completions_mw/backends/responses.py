"""Opens the shared store of cached answers at an address of the settings. Its client is imported only if an address needs it."""

from completions_mw.core.ports import SharedResponseStore
from completions_mw.errors import ConfigurationError
from completions_mw.settings import CacheSettings


def shared_responses(address: str, namespace: str, settings: CacheSettings, max_bytes: int, *, blocking: bool) -> SharedResponseStore:
    """Return the store at `address`. Nothing is opened before the store is used.

    Args:
        address: as in `stores.cache` of the settings.
        namespace: the prefix of all names in the store.
        settings: size above which an answer is compressed.
        max_bytes: maximum of bytes of a stored answer.
        blocking: whether the store is for threads and greenlets, or for event loops.

    Raises:
        ConfigurationError: a package is missing, or the address has an option that the store does not know.
    """
    try:
        from completions_mw.backends.redis.asynchronous import AsyncRedis
        from completions_mw.backends.redis.blocking import BlockingRedis
        from completions_mw.backends.redis.responses import RedisResponses
    except ImportError as error:
        raise ConfigurationError("stores.cache: Redis needs redis-py: pip install 'completions-mw[redis]'") from error
    session = BlockingRedis(address, setting="stores.cache") if blocking else AsyncRedis(address, setting="stores.cache")
    return RedisResponses(session, namespace, settings.compress_above, max_bytes)
