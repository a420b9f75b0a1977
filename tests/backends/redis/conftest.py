"""Connections to Redis of both kinds."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from completions_mw.backends.redis.asynchronous import AsyncRedis
from completions_mw.backends.redis.blocking import BlockingRedis
from completions_mw.blocking import run_sync

T = TypeVar("T")
Runner = Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture(params=["blocking", "async"])
def runner(request: pytest.FixtureRequest) -> Iterator[Runner[Any]]:
    if request.param == "blocking":
        yield run_sync
        return
    with asyncio.Runner() as loop:
        yield loop.run


@pytest.fixture
def session_class(runner: Runner[Any]) -> type[BlockingRedis | AsyncRedis]:
    return BlockingRedis if runner is run_sync else AsyncRedis
