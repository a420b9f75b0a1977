"""Every conformance test runs in every host."""

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.conformance import given
from tests.hosts.base import Host, Project
from tests.hosts.every import HOSTS
from tests.support.upstream import MockUpstream


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """The event loop of all async hosts."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="session")
def one_upstream() -> Iterator[MockUpstream]:
    with MockUpstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(one_upstream: MockUpstream) -> Iterator[MockUpstream]:
    """The provider behind the hosts, which has seen nothing yet; every answer of it has ended when the test has."""
    one_upstream.reset()
    yield one_upstream
    one_upstream.release()
    one_upstream.wait_for(lambda: one_upstream.active_requests == 0)


@pytest.fixture(scope="session")
def project(one_upstream: MockUpstream, portal: BlockingPortal) -> Project:
    return Project(given.settings(one_upstream.url), portal, authenticate=given.login)


@pytest.fixture(scope="session", params=HOSTS.values(), ids=[*HOSTS])
def host(request: pytest.FixtureRequest, project: Project) -> Iterator[Host]:
    with request.param(project) as host:
        yield host
