"""One mock upstream, and one process of each server, for the whole run."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import pytest

from tests.servers.kinds import Kind
from tests.servers.metered import Metered
from tests.servers.scenarios import Announced, Gush, Held, Steps
from tests.support.postgres_server import PostgresServer
from tests.support.process import Server, free_port, serve
from tests.support.redis_server import own_redis, redis_server
from tests.support.upstream import MockUpstream

__all__ = ["own_redis", "redis_server"]

ROOT = Path(__file__).parents[2]
DELAYS = pytest.StashKey[dict[str, list[float]]]()

MANY = 10_000

OF_UVICORN = "LocalProtocolError: can't handle event type Response"
"""It refuses a body by itself while the app still answers."""

Start = Callable[..., contextlib.AbstractContextManager["Running"]]
Note = Callable[[str, float], None]


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    kind: Kind
    port: int
    process: Server


class Upstream(MockUpstream):
    """The mock upstream with the scenarios of this folder."""

    def __init__(self) -> None:
        self.steps = Steps()
        self.gush = Gush()
        self.held = Held()
        self.announced = Announced()
        self.metered = Metered()
        super().__init__(
            {
                "stepwise": lambda x: self.steps(x),
                "gush": lambda x: self.gush(x),
                "held": lambda x: self.held(x),
                "announced": lambda x: self.announced(x),
                "metered": lambda x: self.metered(x),
            }
        )

    def begin(self) -> None:
        """Forget what was seen before."""
        self.reset()
        self.steps = Steps()
        self.gush = Gush()
        self.held = Held()
        self.announced = Announced()
        self.metered = Metered()

    def step(self) -> None:
        """Let `stepwise` send its next event."""
        self.call(self.steps.gate.release)

    def let_go(self, count: int = MANY) -> None:
        """Let so many requests leave `held`, now or as they come."""
        self.call(partial(self.held.let_go, count))

    def settle(self) -> None:
        """Wait until nothing is under way."""
        self.release()
        self.let_go()
        self.wait_for(lambda: self.active_requests == 0)


@pytest.fixture(scope="session")
def one_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(one_upstream: Upstream) -> Iterator[Upstream]:
    one_upstream.begin()
    yield one_upstream
    one_upstream.settle()


@pytest.fixture(scope="session")
def start(one_upstream: Upstream) -> Start:
    """Start a server of some kind, with further options and variables."""

    @contextlib.contextmanager
    def started(kind: Kind, *options: str, **env: str) -> Iterator[Running]:
        port = free_port()
        variables = {"UPSTREAM_URL": one_upstream.url, "PYTHONPATH": str(ROOT), **env}
        with serve(kind.argv(port, *options), ready=port, env=variables, cwd=ROOT) as process:
            yield Running(kind, port, process)

    return started


@pytest.fixture(scope="session")
def running(start: Start) -> Iterator[Callable[[Kind], Running]]:
    """Return the process of a kind, started when it is first asked for."""
    found: dict[str, Running] = {}
    with contextlib.ExitStack() as stack:

        def one(kind: Kind) -> Running:
            if kind.id not in found:
                found[kind.id] = stack.enter_context(start(kind))
            return found[kind.id]

        yield one


@pytest.fixture
def server(request: pytest.FixtureRequest, running: Callable[[Kind], Running], upstream: Upstream) -> Iterator[Running]:
    """The server of the test's parameter; nothing that a client does may make it log a traceback."""
    one = running(request.param)
    before = len(one.process.output())
    yield one
    output = one.process.output()[before:]
    assert output.count("Traceback") == output.count(OF_UVICORN), output


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'completions.db'}"
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return postgres.new_database()


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Note a delay in seconds, to be shown at the end: never a reason to fail."""
    delays = request.config.stash.setdefault(DELAYS, {})
    return lambda what, seconds: delays.setdefault(what, []).append(seconds)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    delays = terminalreporter.config.stash.get(DELAYS, {})
    if delays:
        terminalreporter.section("delays (ms): median, largest, of how many")
    for what, values in delays.items():
        terminalreporter.line(f"{what:60} {median(values) * 1000:8.1f} {max(values) * 1000:8.1f} {len(values):6}")
