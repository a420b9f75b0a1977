"""What the tests of background work have in common: event loops, none of which may complain, and threads, all of which must end."""

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
import uvloop

from completions_mw.core.ports import StoreError
from tests.support.logs import line

WAIT = 10.0
SOON = 0.001
REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")
Scenario = Callable[[], Coroutine[Any, Any, None]]


def on_asyncio(scenario: Scenario) -> None:
    asyncio.run(scenario())


def on_uvloop(scenario: Scenario) -> None:
    uvloop.run(scenario())


every_loop = pytest.mark.parametrize("on_loop", [on_asyncio, on_uvloop], ids=["asyncio", "uvloop"])


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [line(record) for record in caplog.records]


async def failing() -> None:
    raise StoreError("canary")


async def answer() -> int:
    return 42


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let no event loop complain of anything, such as a task that was destroyed."""
    yield
    gc.collect()
    assert [record for record in caplog.get_records("call") if record.name != "completions_mw"] == []


OTHERS: set[threading.Thread] = set()
"""Threads of gateways that other tests of this process have not closed."""


@pytest.fixture(autouse=True)
def only_our_threads() -> Iterator[None]:
    OTHERS.update(upkeep_threads())
    yield
    OTHERS.clear()


def upkeep_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "completions_mw-upkeep" and thread not in OTHERS]
