"""Shows what the runs came to."""

from collections.abc import Callable

import pytest

from tests.support.redis_server import own_redis, redis_server

__all__ = ["own_redis", "redis_server"]

FIGURES = pytest.StashKey[list[str]]()
Report = Callable[..., None]


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Keep the figures of a run, to be shown at the end."""
    lines = request.config.stash.setdefault(FIGURES, [])
    return lambda backend, **figures: lines.append(", ".join([backend, *(f"{name} {value}" for name, value in figures.items())]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lines := terminalreporter.config.stash.get(FIGURES, []):
        terminalreporter.section("kill -9")
    for line in lines:
        terminalreporter.line(line)
