"""What happens to a ledger in SQLite when its file is locked, full, read-only, broken or gone (docs/promises.md, Stores that fail)."""

import asyncio
import ctypes
import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from completions_mw.backends.sql import ConflictError, Step
from completions_mw.backends.sql.sqlite.file import Transaction
from completions_mw.core.ports import StoreBrokenError, StoreError, StoreRefusalError, StoreTimeoutError, UsageQuery
from tests.support.ledgers import EXPIRED, TTL_MS, Books, account, books, entry, outcome, spend

FORTUNE = 10_000
TIMEOUT = 1.0
"""Seconds, where a time-out is the subject."""
MS_RDONLY, MS_REMOUNT = 1, 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture(params=[True, False], ids=["blocking", "async"])
def opened(request: pytest.FixtureRequest, path: Path) -> Iterator[Books]:
    """A ledger in which 100 of 1000 are spent."""
    with books(f"sqlite:///{path}", blocking=request.param) as made:
        assert made.run(spend(made.ledger, "before", 100, 100, [account(1000)]))
        yield made


@pytest.fixture(params=[True, False], ids=["blocking", "async"])
def impatient(request: pytest.FixtureRequest, opened: Books) -> Iterator[Books]:
    """Another user of that ledger, who does not wait for long."""
    with books(opened.address, blocking=request.param, timeout=TIMEOUT) as made:
        yield made


def _spent(opened: Books) -> int:
    [balance] = opened.run(opened.ledger.balances("key", "key-1"))
    assert balance.reserved == 0
    return balance.spent


@contextmanager
def _somebody_else(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def _spend_until_it_fails(opened: Books) -> None:
    for at in range(1000):
        opened.run(spend(opened.ledger, f"{at}", 1, 1, [account(FORTUNE)], EXPIRED))


def _integrity(path: Path) -> str:
    with _somebody_else(path) as connection:
        answer: str = connection.execute("PRAGMA integrity_check").fetchone()[0]
        return answer


def test_a_file_that_somebody_else_locks_is_a_timeout_and_comes_back(impatient: Books, path: Path) -> None:
    with _somebody_else(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreTimeoutError, match="SQLITE_BUSY"):
            impatient.run(impatient.ledger.reserve(entry("a"), 1, [account(1000)], TTL_MS))
        assert _spent(impatient) == 100
        other.execute("ROLLBACK")
    assert impatient.run(spend(impatient.ledger, "a", 1, 1, [account(1000)]))
    assert _spent(impatient) == 101


def test_a_queue_behind_a_locked_file_times_out_as_one(impatient: Books, path: Path) -> None:
    async def refused(request_id: str) -> bool:
        try:
            return await spend(impatient.ledger, request_id, 1, 1, [account(1000)])
        except StoreTimeoutError:
            return True

    with _somebody_else(path) as other:
        other.execute("BEGIN IMMEDIATE")
        assert all(impatient.run.together([partial(refused, f"{at}") for at in range(8)]))
    assert _spent(impatient) == 100


def test_a_full_database_undoes_the_transaction_and_goes_on_when_there_is_space(opened: Books, path: Path) -> None:
    file = opened.database._file  # type: ignore[attr-defined]
    with file._turn() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreError, match="SQLITE_FULL"):
        _spend_until_it_fails(opened)
    assert opened.run(spend(opened.ledger, "before", 1, 1, [account(1000)]))

    with file._turn() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    [settled] = opened.run(opened.ledger.usage(UsageQuery("key")))
    assert _integrity(path) == "ok"
    assert _spent(opened) == settled.cost_nano > 100
    assert opened.run(spend(opened.ledger, "after", 1, 1, [account(FORTUNE)]))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=256k"):
        pytest.skip("mounting is not allowed here")
    yield folder
    libc.umount2(os.fsencode(folder), 2)


def _remount(folder: Path, flags: int) -> None:
    assert ctypes.CDLL(None).mount(b"tmpfs", os.fsencode(folder), b"tmpfs", MS_REMOUNT | flags, b"size=256k") == 0


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])
def test_a_full_disk(small_disk: Path, blocking: bool) -> None:
    ballast = small_disk / "ballast"
    with books(f"sqlite:///{small_disk}/ledger.db", blocking=blocking) as opened:
        assert opened.run(spend(opened.ledger, "a", 100, 100, [account(FORTUNE)]))
        assert opened.run(opened.ledger.reserve(entry("running"), 50, [account(FORTUNE)], TTL_MS)) is None
        with pytest.raises(OSError, match="No space"):
            ballast.write_bytes(bytes(2**20))

        with pytest.raises(StoreError, match=r"SQLITE_(FULL|IOERR)"):
            _spend_until_it_fails(opened)
        ballast.unlink()

        opened.run(opened.ledger.settle(entry("running"), outcome(40)))
        opened.run(opened.ledger.reap())
        [settled] = opened.run(opened.ledger.usage(UsageQuery("key")))
        assert _integrity(small_disk / "ledger.db") == "ok"
        assert _spent(opened) == settled.cost_nano >= 140


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])
def test_a_disk_that_became_read_only(small_disk: Path, blocking: bool) -> None:
    with books(f"sqlite:///{small_disk}/ledger.db", blocking=blocking) as opened:
        opened.run(spend(opened.ledger, "a", 100, 100, [account(1000)]))
        opened.run(opened.ledger.aclose())
        _remount(small_disk, MS_RDONLY)
        with pytest.raises(StoreError):
            opened.run(spend(opened.ledger, "b", 100, 100, [account(1000)]))
        _remount(small_disk, 0)
        assert opened.run(spend(opened.ledger, "b", 100, 100, [account(1000)]))
        assert _spent(opened) == 200


@pytest.mark.parametrize("at", [0, 4096], ids=["header", "pages"])
@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])
def test_a_corrupt_file_is_refused_and_left_alone(path: Path, at: int, blocking: bool) -> None:
    with books(f"sqlite:///{path}", blocking=True) as before:
        before.run(spend(before.ledger, "before", 100, 100, [account(1000)]))
    content = path.read_bytes()
    path.write_bytes(content[:at] + b"\xff" * 4096 * 20)
    broken = path.read_bytes()

    with books(f"sqlite:///{path}", blocking=blocking) as opened:
        for _ in range(2):
            with pytest.raises(StoreBrokenError, match=r"SQLITE_(NOTADB|CORRUPT)"):
                opened.run(opened.ledger.reserve(entry("a"), 1, [account(1000)], TTL_MS))
        assert path.read_bytes() == broken
        path.write_bytes(content)
        assert _spent(opened) == 100


def test_a_file_that_was_deleted_is_not_made_again(opened: Books, path: Path) -> None:
    saved = path.with_suffix(".saved")
    opened.run(opened.ledger.aclose())
    path.rename(saved)
    for _ in range(2):
        with pytest.raises(StoreBrokenError, match="the file is gone"):
            opened.run(opened.ledger.reserve(entry("a"), 1, [account(1000)], TTL_MS))
    assert not path.exists()
    saved.rename(path)
    assert _spent(opened) == 100


def test_a_file_that_is_deleted_while_it_is_open_is_noticed(opened: Books, path: Path) -> None:
    path.unlink()
    with pytest.raises(StoreBrokenError, match="the file is gone"):
        opened.run(opened.ledger.settle(entry("a"), outcome(1)))
    assert not path.exists()


def test_an_empty_file_in_its_place_is_no_ledger(opened: Books, path: Path) -> None:
    opened.run(opened.ledger.aclose())
    path.unlink()
    path.touch()
    with pytest.raises(StoreBrokenError, match="not a database of completions_mw"):
        opened.run(opened.ledger.reserve(entry("a"), 1, [account(1000)], TTL_MS))


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    with _somebody_else(path) as other:
        other.execute("CREATE TABLE keys (id)")
    before = path.read_bytes()
    with books(f"sqlite:///{path}", blocking=True) as opened, pytest.raises(StoreBrokenError, match="not a database of completions_mw"):
        opened.run(opened.database.fetch("check"))
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(opened: Books, path: Path) -> None:
    opened.run(opened.ledger.aclose())
    with _somebody_else(path) as other:
        other.execute("PRAGMA user_version = 1000")
    with pytest.raises(StoreBrokenError, match="newer version"):
        opened.run(opened.database.fetch("check"))


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with books(f"sqlite:///{tmp_path}/no/ledger.db", blocking=True) as opened, pytest.raises(StoreError, match="SQLITE_CANTOPEN"):
        opened.run(opened.database.fetch("check"))


def _open(address: str) -> int:
    with books(address, blocking=True) as opened:
        return int(opened.run(opened.database.fetch("check"))[0][0])


def test_many_workers_make_the_same_schema_at_once(path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert pool.map(_open, [f"sqlite:///{path}"] * 12, chunksize=1) == [1] * 12
    with _somebody_else(path) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_threads_make_the_same_schema_at_once(path: Path) -> None:
    with books(f"sqlite:///{path}", blocking=True) as opened:
        assert opened.run.together([lambda: opened.database.fetch("check")] * 16) == [[(1,)]] * 16


def test_a_child_has_a_connection_of_its_own(opened: Books) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with asyncio.Runner() as runner:
                done = runner.run(spend(opened.ledger, "child", 10, 10, [account(1000)]))
            code = 0 if done else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert opened.run(spend(opened.ledger, "parent", 10, 10, [account(1000)]))
    assert _spent(opened) == 120


def test_a_value_that_it_does_not_take_is_a_refusal(opened: Books) -> None:
    with pytest.raises(StoreRefusalError, match=r"^SQLite: "):
        opened.run(opened.ledger.settle(entry("wrong"), outcome(1)._replace(status="no number")))  # type: ignore[arg-type]
    assert opened.run(spend(opened.ledger, "right", 1, 1, [account(1000)]))


def test_memory_is_of_one_process() -> None:
    with books("memory://", blocking=True) as opened:
        opened.run(spend(opened.ledger, "a", 100, 100, [account(1000)]))
        child = os.fork()
        if child == 0:
            os._exit(0 if opened.run(opened.ledger.balances("key", "key-1")) == [] else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert _spent(opened) == 100


@pytest.mark.parametrize("address", ["memory://", "sqlite"], ids=["memory", "file"])
def test_who_is_cancelled_leaves_a_whole_transaction(address: str, path: Path) -> None:
    started, may_end = threading.Event(), threading.Event()

    def slow(transaction: Transaction) -> None:
        transaction.change("ledger_open", scope="key", name="slow", period="total", limit=1)
        started.set()
        may_end.wait()
        transaction.change("ledger_open", scope="key", name="slow", period="2026-11", limit=1)

    async def cancelled(opened: Books) -> None:
        task = asyncio.create_task(opened.database.transact(slow))  # type: ignore[attr-defined]
        await asyncio.to_thread(started.wait)
        task.cancel()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    with books(address if address.startswith("memory") else f"sqlite:///{path}", blocking=False) as opened:
        opened.run(cancelled(opened))
        assert len(opened.run(opened.ledger.balances("key", "slow"))) == 2


def test_steps_are_done_all_or_none(opened: Books) -> None:
    key = {"scope": "key", "name": "new", "period": "total", "limit": 5}
    with pytest.raises(ConflictError):
        opened.run(opened.database.transaction([Step("ledger_open", key), Step("ledger_open", key)]))
    assert opened.run(opened.ledger.balances("key", "new")) == []
