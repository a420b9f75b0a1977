"""A private, real PostgreSQL: a cluster in a temporary folder, without Docker, also as root."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.process import free_port

_TUNING = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=100", "log_min_messages=warning")


class PostgresServer:
    """A cluster that listens on 127.0.0.1; `start` and `stop` are up to the test."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._data = folder / "data"
        self._log = folder / "log.txt"
        self._databases = count(1)
        self.port = free_port()
        self._run("initdb", "-A", "trust", "--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D", self._data)

    def start(self) -> None:
        """Start it; it is ready then."""
        options = " ".join(
            f"-c {option}" for option in (*_TUNING, f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=")
        )
        self._run("pg_ctl", "start", "--wait", "-D", self._data, "-l", self._log, "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `smart`, `fast` or `immediate`, which is a crash."""
        self._run("pg_ctl", "stop", "--wait", "-D", self._data, "-m", mode)

    def address(self, database: str = "postgres") -> str:
        """Return the address of a database, as the settings have it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database; return its address."""
        name = f"test_{os.getpid()}_{next(self._databases)}"
        self.query(f'CREATE DATABASE "{name}"')
        return self.address(name)

    def query(self, sql: str, address: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser."""
        with psycopg.connect(address or self.address(), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def backends(self, address: str) -> list[int]:
        """Return the ids of the processes that serve a database's clients, as this side sees them."""
        name = address.rpartition("/")[2]
        return [pid for (pid,) in self.query(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}' ORDER BY backend_start")]

    @contextlib.contextmanager
    def stopped(self, pid: int) -> Iterator[None]:
        """Let a process of the server hang for a while."""
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [*_as_somebody(), self._programs / program, *arguments]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout.decode(errors='replace')}")


def _as_somebody() -> list[str]:
    # PostgreSQL refuses to run as root, so root becomes somebody else in a namespace of its own.
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"] if os.geteuid() == 0 else []


def _programs() -> Path | None:
    found = shutil.which("postgres")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if all((place / name).exists() for name in ("initdb", "postgres", "pg_ctl"))), None)


@contextlib.contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """Run a cluster until the end of the `with` block; skip the test where there is no PostgreSQL, which CI must have."""
    programs = _programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed, and CI must not skip its tests")
        pytest.skip("PostgreSQL is not installed")
    server = PostgresServer(programs, folder)
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(RuntimeError):
            server.stop("immediate")
