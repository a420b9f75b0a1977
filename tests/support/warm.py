"""Python programs that are forked from a process which has imported what most of them need: each starts in a tenth of the time.

That process has one thread, opens nothing, and is nobody's pytest, so a program finds what `python -m program` would find. Gunicorn is not
among the imports: it remembers the folder that it was imported in.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import NamedTuple

IMPORTED = (
    "completions_mw.adapters.fastapi",
    "completions_mw.adapters.flask",
    "completions_mw.backends.models.echo",
    "completions_mw.backends.redis.asynchronous",
    "completions_mw.backends.redis.blocking",
    "completions_mw.backends.sql.postgres.database",
    "completions_mw.backends.sql.sqlite.database",
    "completions_mw.cli.app",
    "completions_mw.gateway",
    "django.core.management",
    "django.core.handlers.asgi",
    "django.core.handlers.wsgi",
    "django.test",
    "requests",
    "uvicorn.main",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.protocols.http.httptools_impl",
)
COLD = ("gevent", "granian")
"""What wants to be there before anything else is, or starts Python by itself."""
MALLOC = "MALLOC_"
"""What the names of variables begin with that the C library reads when a process starts."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, *IMPORTED])


def can_be_warm(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether it is this Python with a module or a script, and nothing that must have a process of its own making."""
    program, first, *_ = (*command, "")
    is_python = program == sys.executable and (first == "-m" or first.endswith(".py"))
    return is_python and not any(cold in command for cold in COLD) and not any(name.startswith(MALLOC) for name in env)


class Files(NamedTuple):
    """What a program reads from and writes to."""

    stdin: str | Path
    stdout: str | Path
    stderr: str | Path

    def open(self) -> None:
        """Make them the standard streams of this process."""
        for descriptor, file in enumerate(self):
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND if descriptor else os.O_RDONLY, 0o600)
            os.dup2(opened, descriptor)
            if opened > 2:
                os.close(opened)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it stays open


class WarmProcess:
    """A Python program at the head of a session of its own; the methods are those of `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], files: Files, *, env: Mapping[str, str], cwd: Path | None) -> None:
        self._process = _CONTEXT.Process(target=_become, args=(list(arguments), files, dict(env), str(cwd or Path.cwd())))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("warm process", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes = b"", timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run what comes to an end by itself, and return what it wrote.

    Raises:
        subprocess.TimeoutExpired: it did not end; it is killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = Files(*(Path(folder, name) for name in ("stdin", "stdout", "stderr")))
        Path(files.stdin).write_bytes(stdin)
        process = WarmProcess(arguments, files, env=env, cwd=cwd)
        try:
            code = process.wait(timeout)
        finally:
            process.send_signal(signal.SIGKILL)
        return subprocess.CompletedProcess(list(arguments), code, Path(files.stdout).read_text(), Path(files.stderr).read_text())


def _become(arguments: list[str], files: Files, env: dict[str, str], cwd: str) -> None:
    """Be the program."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    files.open()
    sys.path[:0] = [folder for folder in env.get("PYTHONPATH", "").split(os.pathsep) if folder]
    try:
        if arguments[0] == "-m":
            sys.argv = arguments[1:]
            sys.path.insert(0, cwd)
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            script = Path(arguments[0]).absolute()
            sys.path.insert(0, str(script.resolve().parent))
            runpy.run_path(str(script), run_name="__main__")
    finally:
        # A forked process of `multiprocessing` ends without them.
        atexit._run_exitfuncs()


def stop() -> None:
    """End the process that the others are forked from, and wait for it."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
