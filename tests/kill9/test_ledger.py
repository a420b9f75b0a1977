"""Workers are killed in the middle of streams: no budget is overspent, no confirmed token lost, nothing stays reserved."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from completions_mw import Caller, Gateway, Settings
from tests.kill9.conftest import Report
from tests.kill9.pack import Ack, Pack
from tests.kill9.workers import PRICES, spend, words
from tests.servers.patience import STORE_PATIENCE
from tests.support.postgres_server import postgres_server
from tests.support.waiting import wait_until

BATCHES = 4
KILLS_OF_BATCH = 50
LEASE_SECONDS = 2.0
REAP_SECONDS = 5.0
SAMPLE_SECONDS = 0.01

Query = Callable[[str], list[tuple[Any, ...]]]
OVERSPENT = 'SELECT count(*) FROM {0}budgets WHERE spent + reserved > "limit"'
LEFT = "SELECT count(*) FROM {0}entries WHERE state = 'reserved'"
UNBALANCED = """
    SELECT b.id, b.spent, b.reserved, coalesce(sum(e.amount), 0)
    FROM {0}budgets b LEFT JOIN {0}entries e ON e.budget_id = b.id
    GROUP BY b.id, b.spent, b.reserved
    HAVING b.reserved <> 0 OR b.spent <> coalesce(sum(e.amount), 0)
"""
ENTRIES = "SELECT request_id, state, amount, completion_tokens FROM {0}entries"
REAPED = "SELECT count(*) FROM {0}entries WHERE state = 'reaped'"


class Store(NamedTuple):
    """A ledger's database."""

    address: str
    open: Callable[[], contextlib.AbstractContextManager[Query]]
    """Connect to it, beside the gateways."""
    check: str | None
    """A statement that returns `ok` where the database is whole."""


@contextlib.contextmanager
def _sqlite(path: Path) -> Iterator[Query]:
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        yield lambda sql: connection.execute(sql.format("")).fetchall()


@contextlib.contextmanager
def _postgres(address: str) -> Iterator[Query]:
    with psycopg.connect(address, autocommit=True) as connection:
        yield lambda sql: connection.execute(sql.format("completions_mw.").encode()).fetchall()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        path = tmp_path / "completions.db"
        yield Store(f"sqlite:///{path}", lambda: _sqlite(path), "PRAGMA integrity_check")
    else:
        with postgres_server(tmp_path) as server:
            address = server.new_database()
            yield Store(address, lambda: _postgres(address), None)


class Sampler:
    """Looks for overspent budgets all the time, inside a `with` block."""

    def __init__(self, store: Store) -> None:
        self.samples = 0
        self.overspent = 0
        self._store = store
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        with self._store.open() as query:
            while not self._enough.wait(SAMPLE_SECONDS):
                self.overspent += query(OVERSPENT)[0][0]
                self.samples += 1


@pytest.mark.kill9
def test_workers_that_stream(store: Store, tmp_path: Path, report: Report) -> None:
    began = time.monotonic()
    models = {"words": {"prices": PRICES}}
    settings = {"models": models, "stores": {"ledger": store.address, "ledger_timeout": STORE_PATIENCE, "lease_ttl": LEASE_SECONDS}}
    pack = Pack(spend, settings, tmp_path, seed=1)
    with Gateway(Settings.from_mapping(settings), models={"words": words}) as survivor:
        # From its first request on it posts what the dead have left.
        survivor.complete(model="words", messages=[{"role": "user", "content": "1"}], caller=Caller("survivor"))
        # The ledger is opened with the first row that is written.
        assert [row.requests for row in survivor.usage("key")] == [1]
        with Sampler(store) as sampler, store.open() as query:
            for batch in range(BATCHES):
                with pack.running(str(batch)) as workers:
                    for _ in range(KILLS_OF_BATCH):
                        pack.kill_one(workers, str(batch))
                wait_until(lambda: query(LEFT) == [(0,)], timeout=LEASE_SECONDS + 2 * REAP_SECONDS)
                acks = pack.acks()
                assert lost(acks, query(ENTRIES)) == []
                assert query(UNBALANCED) == []
                assert store.check is None or query(store.check) == [("ok",)]
            reaped = query(REAPED)[0][0]
    assert sampler.overspent == 0
    assert sampler.samples > 100
    assert reaped > BATCHES
    report(
        store.address.partition(":")[0],
        kills=pack.kills,
        streams_cut=reaped,
        acknowledged=len(acks),
        tokens_acknowledged=sum(ack.tokens for ack in acks if ack.kind == "settle"),
        lost=0,
        samples=sampler.samples,
        overshoot=0,
        seconds=round(time.monotonic() - began),
    )


def lost(acks: list[Ack], entries: list[tuple[str, str, int, int]]) -> list[Ack]:
    """Return what was confirmed and is not there."""
    kept = {request_id: (state, amount, tokens) for request_id, state, amount, tokens in entries}
    nothing = ("", -1, -1)
    return [ack for ack in acks if not _is_kept(ack, *kept.get(ack.request_id, nothing))]


def _is_kept(ack: Ack, state: str, amount: int, tokens: int) -> bool:
    if ack.kind == "settle":
        return (state, amount, tokens) == ("settled", ack.amount, ack.tokens)
    return amount >= ack.amount and tokens >= ack.tokens
