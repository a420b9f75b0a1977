"""What the tests of gateways ask for: real servers, and gateways with a cache."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.cached_gateways import CachedGateway, Made
from tests.support.redis_server import own_redis, private_redis, redis_server

__all__ = ["own_redis", "private_redis", "redis_server"]


@pytest.fixture(params=["blocking", "async"])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    """Makes gateways of one kind with a model `m`, which are closed when the test ends."""
    with ExitStack() as opened:
        yield lambda model, **tree: opened.enter_context(CachedGateway(request.param, {"m": model}, **tree))
