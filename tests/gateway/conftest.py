"""The real servers that the tests of gateways ask for."""

from tests.support.redis_server import own_redis, private_redis, redis_server

__all__ = ["own_redis", "private_redis", "redis_server"]
