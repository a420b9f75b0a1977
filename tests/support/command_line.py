"""The command line, as a real process and inside this one."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from completions_mw.cli.app import app
from tests.support import warm


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        assert self.err == ""
        return json.loads(self.out)


def process(*arguments: str, cwd: Path, stdin: str = "", env: Mapping[str, str] | None = None, python: tuple[str, ...] = ()) -> Result:
    """Run `python -m completions_mw` in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COMPLETIONS_MW_")}
    variables = {**clean, **(env or {})}
    if not python:
        done = warm.run(["-m", "completions_mw", *arguments], stdin=stdin.encode(), cwd=cwd, env=variables)
    else:
        command = [sys.executable, *python, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, cwd=cwd, env=variables)
    return Result(done.returncode, done.stdout, done.stderr)


def terminal(*arguments: str, width: int) -> str:
    """Run it in a process of its own that writes to a terminal; return what it wrote, without bold letters."""
    master, slave = os.openpty()
    env = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    with open(master, "rb", buffering=0) as screen:
        with open(slave, "wb") as output:
            process = subprocess.Popen([sys.executable, "-m", "completions_mw", *arguments], stdout=output, stderr=output, env=env)
        written = b""
        # At the end of the process, Linux ends a terminal with an error.
        with contextlib.suppress(OSError):
            while piece := screen.read(4096):
                written += piece
        assert process.wait(60) == 0, written
    return re.sub(r"\x1b\[[0-9;]*m", "", written.decode()).replace("\r\n", "\n")


def inside(*arguments: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None) -> Result:
    """Run the same in this process."""
    settings = {"COMPLETIONS_MW_CONFIG": None, "COMPLETIONS_MW_STORES__LEDGER": None, **(env or {})}
    done = CliRunner().invoke(app, arguments, input=stdin, env=settings)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Result(done.exit_code, done.stdout, done.stderr)
