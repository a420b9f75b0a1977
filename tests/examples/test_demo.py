"""`make demo`, with its standard input closed and at a terminal."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.examples import EXAMPLES, needs_local_model

COMMAND = [sys.executable, str(EXAMPLES / "demo.py")]


def port_in(output: str) -> int:
    found = re.search(r"now on http://127\.0\.0\.1:(\d+)", output)
    assert found, output
    return int(found[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@needs_local_model
def test_without_a_terminal_it_shows_a_real_answer_and_ends() -> None:
    done = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    assert '"content": "Hello! How are you?"' in done.stdout
    assert len(re.findall(r"usage: \d+ prompt \+ \d+ completion = \d+ tokens", done.stdout)) == 2
    assert "401 UNAUTHORIZED" in done.stdout
    assert "Incorrect API key provided" in done.stdout
    assert "\033" not in done.stdout
    assert done.stderr == ""
    assert is_free(port_in(done.stdout))


@needs_local_model
def test_at_a_terminal_it_serves_until_ctrl_c() -> None:
    terminal, stdin = pty.openpty()
    with subprocess.Popen(COMMAND, stdin=stdin, stdout=subprocess.PIPE, text=True) as demo:
        try:
            output = read_until(demo, "Ctrl-C stops the app")
            url = f"http://127.0.0.1:{port_in(output)}"
            assert requests.get(url, timeout=10).status_code == 200
            demo.send_signal(signal.SIGINT)
            assert demo.wait(30) == 0
        finally:
            demo.terminate()
            os.close(terminal)
            os.close(stdin)
    assert is_free(port_in(output))


def read_until(demo: "subprocess.Popen[str]", text: str) -> str:
    assert demo.stdout is not None
    output = ""
    for line in demo.stdout:
        output += line
        if text in line:
            return output
    pytest.fail(f"the demonstration ended early:\n{output}")


def test_it_fails_with_the_reason(tmp_path: Path) -> None:
    Path(tmp_path, "flask.py").write_text("raise ImportError('no flask today')")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 1
    assert "The demonstration failed: the app did not start" in done.stderr
    assert "no flask today" in done.stderr
