"""Real server processes: started, waited for, listened to and stopped with everything that they started."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.support.warm import Files, WarmProcess, can_be_warm


class Server:
    """A process that serves, at the head of a session of its own."""

    def __init__(self, process: subprocess.Popen[bytes] | WarmProcess, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def children(self) -> list[int]:
        """Return the ids of the processes below this one: the workers."""
        return [child.pid for child in psutil.Process(self.pid).children(recursive=True)]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server itself, not to its children."""
        self._process.send_signal(number)

    def wait(self, timeout: float = 10) -> int:
        """Return the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self._process.wait(timeout)

    def output(self) -> str:
        """Return what it has written so far, to both of its outputs."""
        return self._log.read_text(errors="replace")


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def serve(
    command: Sequence[str | Path],
    *,
    ready: int | str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 30,
) -> Iterator[Server]:
    """Run `command` until the end of the `with` block; then stop it and its children.

    Args:
        command: the program and its arguments.
        ready: a port of 127.0.0.1, or a URL; the block starts when it accepts connections.
        env: variables beside those of this process.
        cwd: where to run it.
        timeout: how long it may take to be ready.

    Raises:
        RuntimeError: it ended, or was not ready in time; the message holds its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "output.txt")
        process = _start(list(map(str, command)), {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}, cwd, log)
        server = Server(process, log)
        try:
            _wait_until_ready(server, _address(ready), time.monotonic() + timeout)
            yield server
        finally:
            _stop(process)


def _start(command: list[str], env: Mapping[str, str], cwd: Path | None, log: Path) -> subprocess.Popen[bytes] | WarmProcess:
    log.touch()
    if can_be_warm(command, env):
        return WarmProcess(command[1:], Files(os.devnull, log, log), env=env, cwd=cwd)
    with log.open("ab") as output:
        return subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def _address(ready: int | str) -> tuple[str, int]:
    if isinstance(ready, int):
        return "127.0.0.1", ready
    parts = urlsplit(ready)
    assert parts.hostname is not None
    return parts.hostname, parts.port or 80


def _wait_until_ready(server: Server, address: tuple[str, int], deadline: float) -> None:
    while not _accepts(address):
        if not server.running():
            raise RuntimeError(f"the server ended with {server.wait()}:\n{server.output()}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server is not ready:\n{server.output()}")
        # Nothing announces a listening socket: a short poll is the only way to see one.
        time.sleep(0.01)


def _accepts(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes] | WarmProcess) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    # What the server left behind, and itself if it did not listen.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
