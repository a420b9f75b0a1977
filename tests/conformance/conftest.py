"""Every conformance test runs in every host."""

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from completions_mw import Gateway
from tests.conformance import given
from tests.conformance.customer import Customer, CustomerMaker
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
    with MockUpstream(given.SCENARIOS) as upstream:
        yield upstream


@pytest.fixture
def upstream(one_upstream: MockUpstream) -> Iterator[MockUpstream]:
    """The provider behind the hosts, which has seen nothing yet; every answer of it has ended when the test has."""
    one_upstream.reset()
    yield one_upstream
    one_upstream.release()
    one_upstream.wait_for(lambda: one_upstream.active_requests == 0)


@pytest.fixture(scope="session")
def project(one_upstream: MockUpstream, portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Project:
    ledger = tmp_path_factory.mktemp("ledger") / "completions.db"
    settings = given.settings(one_upstream.url, f"sqlite:///{ledger}")
    return Project(settings, portal, authenticate=given.login, on_budget=given.on_budget)


@pytest.fixture(scope="session", params=HOSTS.values(), ids=[*HOSTS])
def host(request: pytest.FixtureRequest, project: Project) -> Iterator[Host]:
    with request.param(project) as host:
        yield host


@pytest.fixture(scope="session")
def operator(project: Project) -> Iterator[Gateway]:
    """The operator's own process, which makes keys and reads the ledger that all hosts share; it has a model that the hosts have not."""
    with Gateway(project.settings, models={"gone-since": lambda request: "hello"}) as gateway:
        yield gateway


@pytest.fixture
def customer(host: Host, operator: Gateway) -> CustomerMaker:
    """Makes callers whom no other test knows."""
    return lambda **rules: Customer(host, operator, operator.keys.create("a customer", **rules))


@pytest.fixture(scope="session")
def spare_numbers() -> Iterator[int]:
    return iter(range(given.SPARE))


@pytest.fixture
def number(spare_numbers: Iterator[int]) -> int:
    """The number of tenants, in the settings, that no other test knows."""
    return next(spare_numbers)
