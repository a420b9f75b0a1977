"""The processes of servers: started, waited for, measured, ended."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).parent.parent
"""This checkout."""


class NotStartedError(Exception):
    """A server did not come up; the text says why."""


class SkippedError(Exception):
    """What a contestant needs is not here; the text says why."""


class Server:
    """A server process on a port of its own.

    Args:
        command: what to run.
        environment: variables on top of ours.
        port: where it is to listen.
        log: where its output goes; its end is shown when the server does not come up.
        folder: where it runs.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], port: int, log: Path, folder: Path) -> None:
        self.port = port
        self._log = log
        variables = {**os.environ, **environment}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, env=variables, cwd=folder, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_listening(self, seconds: float) -> None:
        """Return when the port accepts connections.

        Raises:
            NotStartedError: it does not in that time, or the process ended.
        """
        deadline = time.monotonic() + seconds
        while not _accepts(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                why = "ended" if self._process.poll() is not None else f"not listening after {seconds:g} s"
                raise NotStartedError(f"{why}: {self._last_line()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the process and what it started."""
        family = _family(self.pid)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, alive = psutil.wait_procs(family, timeout=5)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def program(name: str) -> str:
    """Return the path of an installed program.

    Raises:
        SkippedError: there is none.
    """
    path = shutil.which(name)
    if path is None:
        raise SkippedError(f"there is no {name}")
    return path


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its children so far."""
    return sum(_cpu_seconds(process) for process in _family(pid))


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its children."""
    total = 0
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        # Linux numbers every process's CPU clock like this (clock_getcpuclockid(3)); /proc, which psutil reads, counts in steps of 10 ms.
        return time.clock_gettime((~process.pid << 3) | 2)
    except OSError:
        pass
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
