"""The real servers that the tests of stores ask for."""

from tests.support.memcached_server import memcached_server
from tests.support.redis_server import own_redis, private_redis, redis_server

__all__ = ["memcached_server", "own_redis", "private_redis", "redis_server"]
