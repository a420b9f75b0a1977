"""What holds for every test."""

import gc
import os
from collections.abc import Iterator

import pytest

from tests.support import warm
from tests.support.canaries import Canaries
from tests.support.envelope import REFUSALS, check_refusal

# What thousands of tests are made of stays until the end: it need not be looked through again and again.
gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()
    warm.stop()


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
