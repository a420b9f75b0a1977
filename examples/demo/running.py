"""Runs an example app as a process of its own."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

HOST = "127.0.0.1"


class AppError(Exception):
    """The app cannot be run."""


class RunningApp(NamedTuple):
    url: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def running_app(app: Path) -> Iterator[RunningApp]:
    """Run `app` until the end of the `with` block.

    Raises:
        AppError: it did not start; the message holds what it wrote.
    """
    port = free_port()
    # The reader's own settings are not for this app.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPLETIONS_MW_")}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, app], env={**environment, "PORT": str(port)}, stdout=log, stderr=log)
        try:
            wait_until_up(port, process, log)
            yield RunningApp(f"http://{HOST}:{port}", process)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_up(port: int, process: "subprocess.Popen[bytes]", log: BinaryIO) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    log.seek(0)
    raise AppError(f"the app did not start:\n{log.read().decode(errors='replace')}")


def free_port() -> int:
    """Return 8000 if nobody uses it, else any free port."""
    for port in (8000, 0):
        with socket.socket() as probe:
            # As servers do: what is left of earlier connections does not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AppError("there is no free port")
