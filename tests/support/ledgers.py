"""Ledgers of every kind, and what the tests put into them."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import pytest

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql import CallTimes, Database, ledger_on, open_database
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Account, Clock, Entry, Ledger, Outcome, Refusal, Tokens

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]

STARTED_MS = 1_795_000_000_000
"""2026-11-18T11:06:40Z."""
KINDS = ["sqlite", "sqlite-async", "memory", "memory-async", "postgres", "postgres-async"]
PATIENCE = 30.0
"""Seconds that a call may take where no test is about time: the machine may be busy."""
TTL_MS = 60_000
TOKENS = Tokens(10, 20, 3, 4)
EXPIRED = 0
"""A time to live after which a reservation has expired at once, by any clock."""


class Driver(Protocol):
    """Runs coroutines of ports."""

    def __call__(self, coroutine: Coroutine[Any, Any, T]) -> T: ...

    def together(self, works: Sequence[Work[T]]) -> list[T]:
        """Run all of them at the same time; return their results."""
        ...


class BlockingDriver:
    """Steps each coroutine once; several of them in threads."""

    def __call__(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return run_sync(coroutine)

    def together(self, works: Sequence[Work[T]]) -> list[T]:
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(lambda work: run_sync(work()), works))


class AsyncDriver:
    """Runs coroutines on one event loop; several of them in tasks."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def __call__(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def together(self, works: Sequence[Work[T]]) -> list[T]:
        async def all_of_them() -> list[T]:
            return list(await asyncio.gather(*(work() for work in works)))

        return self._runner.run(all_of_them())


class Books(NamedTuple):
    """A ledger, and what a test needs to use it."""

    run: Driver
    ledger: Ledger
    database: Database
    address: str


@contextmanager
def books(address: str, *, blocking: bool, clock: Clock = SYSTEM_CLOCK, timeout: float = PATIENCE) -> Iterator[Books]:
    """Open the ledger at `address`; close it at the end of the `with` block."""
    with asyncio.Runner() as runner:
        driver = BlockingDriver() if blocking else AsyncDriver(runner)
        database = open_database(address, blocking=blocking, clock=clock, times=CallTimes(call=timeout))
        ledger = ledger_on(database)
        try:
            yield Books(driver, ledger, database, address)
        finally:
            driver(ledger.aclose())


def address_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty database; a PostgreSQL one needs the fixture `postgres`."""
    if kind.startswith("memory"):
        return "memory://"
    if kind.startswith("sqlite"):
        return f"sqlite:///{tmp_path}/ledger.db"
    address: str = request.getfixturevalue("postgres").new_database()
    return address


def entry(request_id: str, *, key: str = "key-1", started_ms: int = STARTED_MS, model: str = "gpt", tenant: str = "tenant-1") -> Entry:
    """Return a request of a key."""
    return Entry(request_id, "key", key, tenant, model, True, started_ms)


def outcome(cost: int, tokens: Tokens = TOKENS, *, estimated: bool = False) -> Outcome:
    """Return the outcome of a request that was answered."""
    return Outcome(200, None, "echo/echo", "stop", tokens, cost, estimated, 5, 50)


def account(limit: int, name: str = "key-1", scope: str = "key", period: str = "2026-11") -> Account:
    """Return a budget of a key in a month."""
    return Account(scope, name, period, limit)


async def spend(ledger: Ledger, request_id: str, amount: int, cost: int, accounts: Sequence[Account], ttl_ms: int = TTL_MS) -> bool:
    """Reserve and settle; tell whether there was room."""
    refusal = await ledger.reserve(entry(request_id), amount, accounts, ttl_ms)
    if refusal is None:
        await ledger.settle(entry(request_id), outcome(cost))
    return refusal is None


class Race(NamedTuple):
    """What a process of `race` does."""

    address: str
    name: str
    requests: int
    amount: int
    accounts: tuple[Account, ...]


def race(runners: Sequence[Race]) -> list[list[Refusal]]:
    """Let processes reserve and settle against each other; return the refusals that each of them got."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(len(runners)) as pool:
        return pool.map(_run, runners, chunksize=1)


def _run(runner: Race) -> list[Refusal]:
    with books(runner.address, blocking=True) as (_, ledger, _, _):
        return [refusal for at in range(runner.requests) if (refusal := run_sync(_spend(ledger, f"{runner.name}-{at}", runner)))]


async def _spend(ledger: Ledger, request_id: str, runner: Race) -> Refusal | None:
    refusal = await ledger.reserve(entry(request_id), runner.amount, runner.accounts, TTL_MS)
    if refusal is None:
        await ledger.settle(entry(request_id), outcome(runner.amount))
    return refusal


class Time:
    """A clock that goes on when it is told to."""

    def __init__(self, now: float = STARTED_MS / 1000) -> None:
        self.now = now

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=time.monotonic, time=lambda: self.now)


def balance(opened: Books, name: str = "key-1", scope: str = "key") -> tuple[int, int, int]:
    """Return limit, spent and reserved of the only period of a budget."""
    [found] = opened.run(opened.ledger.balances(scope, name))
    return found.limit, found.spent, found.reserved
