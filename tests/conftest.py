"""What holds for every test."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import warm
from tests.support.canaries import Canaries
from tests.support.envelope import REFUSALS, check_refusal
from tests.support.postgres_server import PostgresServer, postgres_server

TESTS = Path(__file__).parent

# What thousands of tests are made of stays until the end: it need not be looked through again and again.
gc.disable()


LONG_FIRST = ("servers", "docs", "clients", "faults", "examples", "backends", "cli", "upstreams", "conformance", "adapters")
"""Folders whose files take long: begun last, they would keep one worker busy while the others have nothing to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.relative_to(TESTS).parts[0], len(ranks)) if item.path.is_relative_to(TESTS) else 0)


def pytest_collection_finish() -> None:
    gc.enable()
    gc.freeze()


def pytest_sessionfinish() -> None:
    warm.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL for all who want databases; whoever harms the server itself starts one of his own."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(autouse=True)
def every_refusal_is_an_envelope() -> Iterator[None]:
    """Check every answer of the gateway other than 2xx that any host gave in any test."""
    REFUSALS.clear()
    yield
    for refusal in REFUSALS:
        check_refusal(refusal)


@pytest.fixture(autouse="CANARIES" in os.environ)
def no_log_has_a_secret(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check every log of every test at DEBUG, where the environment variable CANARIES asks for it (docs/promises.md, Secrets)."""
    with Canaries(caplog.handler) as canaries:
        yield
    assert canaries.seen == []
