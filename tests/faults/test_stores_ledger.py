"""Whole gateways whose ledger fails: who has a budget waits, nobody else does, and every settlement is posted once when it is back."""

import logging
import multiprocessing
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from completions_mw import Gateway, Settings
from completions_mw.backends.sql.postgres.pool import MAX_CONNECTIONS
from completions_mw.core.charging.maintenance import REAP_SECONDS
from tests.faults.conftest import Answer
from tests.faults.crowd import AT_ONCE, RECOVERY, asking, every_crowd, load, recovers, statuses, store
from tests.faults.sql_faults import Fault, postgres_faults, sqlite_faults
from tests.support.logs import line
from tests.support.postgres_server import PostgresServer, postgres_server
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

pytestmark = pytest.mark.soak
"""Real servers are stopped, and time passes: minutes, and more on a busy machine."""

FREE, RICH, OTHER = "sk-canary-client-key", "sk-canary-rich-key", "sk-canary-other-key"
UNKNOWN = "sk-cmw-0123456789ab-0123456789012345678901234567890123456789abc"
PRICE = 3 * 1_000_000 + 3 * 2_000_000
"""Nano-dollars of an answer: a word is a token to the echo."""
HELD_PRICE = 3 * 1_000_000 + 2 * 2_000_000
"""Of an answer of two words."""


class Place(NamedTuple):
    """Where a ledger is, and what can be wrong with it."""

    address: str
    faults: dict[str, Fault]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@contextmanager
def postgres_place(postgres: Callable[[], PostgresServer], _: Path) -> Iterator[Place]:
    address = postgres().new_database()
    yield Place(address, postgres_faults(postgres(), address))


@contextmanager
def sqlite_place(_: Callable[[], PostgresServer], folder: Path) -> Iterator[Place]:
    with small_disk(folder / "disk") as disk:
        path = disk.folder / "ledger.db"
        yield Place(f"sqlite:///{path}", sqlite_faults(path, disk))


PLACES = {"postgres": postgres_place, "sqlite": sqlite_place}
FAULTS = ["postgres-crashed", "postgres-stopped", "postgres-locked", "sqlite-locked", "sqlite-full", "sqlite-gone", "sqlite-corrupt"]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Place, Fault]]:
    kind, name = request.param.split("-")
    with PLACES[kind](lambda: request.getfixturevalue("postgres"), tmp_path) as place:
        yield place, place.faults[name]


def settings(ledger: str, *functions: str, **stores: Any) -> Settings:
    prices = {"prices": {"input": "1000", "output": "2000"}}
    budget = {"budget": {"usd": "1000", "period": "total"}}
    return Settings.from_mapping(
        {
            "providers": {"local": {"api": "echo"}},
            "models": {"m": {"targets": ["local/m"], **prices}, **dict.fromkeys(functions, prices)},
            "keys": {"free": {"secret": FREE}, "rich": {"secret": RICH, **budget}, "other": {"secret": OTHER, **budget}},
            "stores": {"ledger": ledger, "key_cache": 0, "lease_ttl": 1, **stores},
        }
    )


def check_refused(answers: list[Answer], code: str) -> None:
    assert [(answer.status, answer.error["code"]) for answer in answers] == [(503, code)] * len(answers)
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}


def requests_of(operator: Gateway, key: str) -> int:
    return sum(row.requests for row in operator.usage("model", key=key))


@pytest.mark.parametrize("place", FAULTS, indirect=True)
@every_crowd
def test_an_outage(kind: type[Any], place: tuple[Place, Fault], caplog: pytest.LogCaptureFixture) -> None:
    """See docs/promises.md, Stores that fail."""
    (ledger, _), fault = place
    began = time.monotonic()
    held = Held()
    with ExitStack() as stack:
        stack.enter_context(caplog.at_level(logging.INFO, "completions_mw"))
        crowd = stack.enter_context(kind(settings(ledger, "held"), models={"held": held}))
        assert statuses(crowd.send_all([asking(RICH, "m")] * 3)) == {200: 3}
        running = [crowd.begin(asking(key, "held", stream=True)) for key in (RICH, FREE)]
        with fault.breaks():
            check_refused(crowd.send_all([asking(RICH, "m")] * 12), "budget_unavailable")
            assert statuses(crowd.send_all([asking(FREE, "m")] * 12)) == {200: 12}
            check_unknown(crowd.send(asking(UNKNOWN, "m")), fault)
            held.may_end.set()
            ends = [stream.rest() for stream in running]
        assert [(end.is_complete, end.text) for end in ends] == [(True, "one two")] * 2
        operator = stack.enter_context(Gateway(settings(ledger)))
        recovers(lambda: requests_of(operator, "free") == 13)
        recovers(lambda: crowd.send(asking(RICH, "m")).status == 200)
        recovers(lambda: not any(snapshot.open for snapshot in crowd.stores))
        # What was refused may be reserved all the same where no answer came: it expires, and is reaped, if need be the second time.
        wait_until(lambda: operator.balances("rich")[0].reserved == 0, RECOVERY + 2 * REAP_SECONDS)
        check_posted_once(operator)
    check_log(caplog, began)


def check_unknown(answer: Answer, fault: Fault) -> None:
    if fault.keys_too:
        check_refused([answer], "auth_unavailable")
    else:
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


def check_posted_once(operator: Gateway) -> None:
    [balance] = operator.balances("rich")
    [usage] = operator.usage("key", key="rich")
    answered = usage.requests - usage.estimated
    assert answered >= 5
    assert usage.completion_tokens == 3 * (answered - 1) + 2
    assert balance.spent == usage.cost_nano == PRICE * (answered - 1) + HELD_PRICE


def check_log(caplog: pytest.LogCaptureFixture, began: float) -> None:
    lines = [line(record) for record in caplog.records if record.name == "completions_mw"]
    degraded = [line for line in lines if line["event"] == "store_degraded"]
    for name in ("ledger", "keys"):
        assert sum(line["store"] == name for line in degraded) <= 1 + (time.monotonic() - began) // 10
    assert {line["policy"] for line in degraded} <= {"closed", "spool"}
    assert {line["event"] for line in lines} == {"store_degraded", "store_recovered"}


class Held:
    """A model that says one word, and the other one when it may."""

    def __init__(self) -> None:
        self.may_end = threading.Event()

    def __call__(self, _: object) -> Iterator[object]:
        yield "one "
        assert self.may_end.wait(60)
        yield "two"
        yield {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}


@pytest.mark.parametrize("place", ["postgres-crashed", "sqlite-locked"], indirect=True)
@every_crowd
def test_nothing_is_lost_under_load(kind: type[Any], place: tuple[Place, Fault]) -> None:
    (ledger, _), fault = place
    with kind(settings(ledger)) as crowd, Gateway(settings(ledger)) as operator:
        with load(crowd, asking(RICH, "m")) as answers:
            recovers(lambda: statuses(answers).get(200, 0) > AT_ONCE)
            with fault.breaks():
                recovers(lambda: store(crowd, "ledger").open and 503 in statuses(answers))
            before = statuses(answers)[200]
            recovers(lambda: statuses(answers)[200] > before + AT_ONCE)
        answered = statuses(answers)
        assert set(answered) == {200, 503}
        recovers(lambda: operator.balances("rich")[0].spent == PRICE * answered[200])
        wait_until(lambda: operator.balances("rich")[0].reserved == 0, RECOVERY + 2 * REAP_SECONDS)
        assert operator.balances("rich")[0].spent == PRICE * answered[200]


@every_crowd
def test_somebody_locks_one_budget(kind: type[Any], postgres: PostgresServer) -> None:
    """With more of its requests than there are connections, the others' are answered all the same (docs/promises.md, Stores that fail)."""
    address = postgres.new_database()
    with kind(settings(address)) as crowd:
        assert statuses(crowd.send_all([asking(key, "m") for key in (RICH, OTHER)])) == {200: 2}
        with psycopg.connect(address) as other:
            other.execute("SELECT * FROM completions_mw.budgets WHERE name = 'other' FOR UPDATE")
            answers = crowd.send_all([asking(OTHER, "m")] * 12 + [asking(FREE, "m")] * 12)
            assert statuses(answers) == {200: 12, 503: 12}
            assert len(postgres.backends(address)) <= MAX_CONNECTIONS + 1
        for key in (RICH, OTHER):
            recovers(lambda key=key: crowd.send(asking(key, "m")).status == 200)  # type: ignore[misc]
        with Gateway(settings(address)) as operator:
            recovers(lambda: requests_of(operator, "free") == 12)


def _worker(kind: type[Any], settings: Settings, told: Any) -> None:
    with kind(settings) as crowd:
        told.send([crowd.send(asking(FREE, "m")).status])
        told.recv()
        told.send([answer.status for answer in crowd.send_all([asking(FREE, "m")] * 10)])
        told.recv()


def received(pipe: Any) -> Any:
    assert pipe.poll(30), "the process says nothing"
    return pipe.recv()


@every_crowd
def test_what_a_killed_process_has_spooled_is_posted_by_the_next_one(kind: type[Any], tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    common = settings(f"sqlite:///{path}", spool=str(tmp_path / "spool"))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_worker, args=(kind, common, theirs), daemon=True)
    worker.start()
    assert received(ours) == [200]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ours.send("go on")
        assert received(ours) == [200] * 10
        worker.kill()
        worker.join()
    with kind(common) as crowd, Gateway(common) as operator:
        assert requests_of(operator, "free") == 1
        assert crowd.send(asking(FREE, "m")).status == 200
        recovers(lambda: requests_of(operator, "free") == 12)
        recovers(lambda: not list(tmp_path.glob("spool*")))
