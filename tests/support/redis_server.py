"""A real Redis of our own, on its own port: killed, stopped and restarted at will."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from typing import Any, NoReturn, Self

import pytest
import redis

from tests.support.process import free_port


def missing(program: str) -> NoReturn:
    """Skip the test because a program is not there, or fail it where nothing may be skipped."""
    reason = f"{program} is not installed"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class RedisServer:
    """Keeps nothing on disk. Runs inside a `with` block.

    Args:
        options: further ones for the command line, as `--requirepass`, `secret`.
    """

    def __init__(self, *options: str) -> None:
        program = which("redis-server")
        if program is None:
            missing("redis-server")
        self._program = program
        self.port = free_port()
        self._options = options
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        log = Path(self._folder.name, "output.txt")
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "--dir", self._folder.name, *self._options], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        deadline = time.monotonic() + 10
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Redis does not start:\n{log.read_text()}")
            # Nothing announces a listening socket: a short poll is the only way to see one.
            time.sleep(0.005)

    def kill(self) -> None:
        """`kill -9`; whatever it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Kill it and start it again, empty, on the same port."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Let it hang: the kernel still accepts connections, nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def cont(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def command(self, *words: str | int | bytes) -> Any:
        """Send one command over a connection of its own; texts come back as bytes."""
        with redis.Redis(port=self.port, protocol=2, password=self._password()) as client:
            return client.execute_command(*words)

    def flush(self) -> None:
        """Forget all keys; scripts stay."""
        self.command("FLUSHALL")

    def monitor(self) -> "Monitor":
        """Return what lists the commands of clients, inside a `with` block."""
        return Monitor(self)

    def _password(self) -> str | None:
        return self._options[self._options.index("--requirepass") + 1] if "--requirepass" in self._options else None

    def _answers(self) -> bool:
        try:
            return bool(self.command("PING"))
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False


class Monitor:
    """Lists the commands that clients send; what scripts do is not among them."""

    _END = "end-of-monitor"

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._client = redis.Redis(port=server.port, protocol=2)
        self._monitor = self._client.monitor()  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        self._monitor.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._monitor.__exit__(None, None, None)
        self._client.close()

    def commands(self) -> Sequence[str]:
        """Return the commands so far, each as one text."""
        self._server.command("ECHO", self._END)
        seen = []
        while self._END not in (entry := self._monitor.next_command())["command"]:
            if entry["client_type"] != "lua":
                seen.append(entry["command"])
        return seen


@pytest.fixture(scope="session")
def own_redis() -> Iterator[RedisServer]:
    """One server for all tests that leave it as it was."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(own_redis: RedisServer) -> RedisServer:
    """The shared server, without any key."""
    own_redis.flush()
    return own_redis


@pytest.fixture
def private_redis() -> Iterator[RedisServer]:
    """A server for one test, which may do to it whatever it likes."""
    with RedisServer() as server:
        yield server
