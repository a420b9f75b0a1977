"""What can be wrong with the database of money and keys (docs/promises.md, Stores that fail): each is so for the time of a `with` block."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg

from tests.support.postgres_server import PostgresServer
from tests.support.small_disk import SmallDisk

_DAMAGED = b"\xff" * 8192


class Fault(NamedTuple):
    """One kind of them."""

    name: str
    breaks: Callable[[], AbstractContextManager[None]]
    keys_too: bool = True
    """Whether keys cannot be read either."""


def postgres_faults(server: PostgresServer, address: str) -> dict[str, Fault]:
    """Return what can be wrong with a PostgreSQL."""

    @contextmanager
    def crashed() -> Iterator[None]:
        server.stop("immediate")
        try:
            yield
        finally:
            server.start()

    @contextmanager
    def stopped() -> Iterator[None]:
        [(folder,)] = server.query("SELECT current_setting('data_directory')")
        postmaster = int(Path(folder, "postmaster.pid").read_text().splitlines()[0])
        # The postmaster first: it would start new processes for new connections.
        pids = [postmaster, *(child.pid for child in psutil.Process(postmaster).children())]
        _signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)

    @contextmanager
    def locked() -> Iterator[None]:
        with psycopg.connect(address) as other:
            other.execute("LOCK TABLE completions_mw.budgets, completions_mw.entries IN EXCLUSIVE MODE")
            yield

    return _by_name(Fault("crashed", crashed), Fault("stopped", stopped), Fault("locked", locked, keys_too=False))


def sqlite_faults(path: Path, disk: SmallDisk) -> dict[str, Fault]:
    """Return what can be wrong with a SQLite file."""
    saved = path.with_suffix(".saved")

    @contextmanager
    def locked() -> Iterator[None]:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def full() -> Iterator[None]:
        with closing(sqlite3.connect(path)) as other:
            # So that there is no room left in its log either.
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        disk.fill()
        yield
        disk.empty()

    @contextmanager
    def gone() -> Iterator[None]:
        path.rename(saved)
        yield
        assert not path.exists()
        saved.rename(path)

    @contextmanager
    def corrupt() -> Iterator[None]:
        with closing(sqlite3.connect(path)) as other:
            # Else what is only in its log would mend the damage.
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path.rename(saved)
        path.write_bytes(_DAMAGED)
        yield
        assert path.read_bytes() == _DAMAGED
        saved.rename(path)

    return _by_name(
        Fault("locked", locked, keys_too=False), Fault("full", full, keys_too=False), Fault("gone", gone), Fault("corrupt", corrupt)
    )


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        # Some of them come and go as they like.
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _by_name(*faults: Fault) -> dict[str, Fault]:
    return {fault.name: fault for fault in faults}
