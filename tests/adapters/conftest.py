"""One event loop and one upstream for the tests of an adapter."""

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.support.upstream import MockUpstream


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream() as upstream:
        yield upstream
