"""`make demo`: what it installs, and what it shows with its standard input closed and at a terminal."""

import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.examples import EXAMPLES, needs_local_model

REPOSITORY = EXAMPLES.parent
COMMAND = [sys.executable, str(EXAMPLES / "demo")]


def port_in(output: str) -> int:
    found = re.search(r"now on http://127\.0\.0\.1:(\d+)", output)
    assert found, output
    return int(found[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.skipif(
    shutil.which("make") is None or not (REPOSITORY / ".uv/bin/uv").exists(), reason="make is not installed, or has not installed uv"
)
def test_it_installs_little_and_says_so(tmp_path: Path) -> None:
    # The make and the environment that these tests themselves are started with are not a newcomer's.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "UV_", "VIRTUAL_ENV"))}
    recipe = subprocess.run(["make", "--dry-run", "demo"], cwd=REPOSITORY, env=inherited, capture_output=True, text=True, check=True).stdout
    announced, *_, command = recipe.replace("\\\n", "").splitlines()
    assert "Installing about 30 packages" in announced
    uv, run, *options, python, program = shlex.split(command)
    assert (run, python, program) == ("run", "python", "examples/demo")
    options.remove("--quiet")
    env = {**inherited, "UV_PROJECT_ENVIRONMENT": str(tmp_path / "none-yet"), "UV_CACHE_DIR": str(tmp_path / "cache"), "UV_OFFLINE": "1"}
    plan = subprocess.run([uv, "sync", "--dry-run", *options], cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True).stderr
    [count] = re.findall(r"Would install (\d+) packages", plan)
    assert int(count) <= 30


@needs_local_model
def test_without_a_terminal_it_shows_real_answers_on_one_screen_and_ends() -> None:
    done = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for shown in (
        "   The capital of France is Paris.\n",
        "401 invalid_api_key: Incorrect API key provided: sk-wr***et.",
        "429 rate_limit_exceeded: Rate limit reached for gpt-3.5-turbo in organization trial on requests",
        "   The three primary colors are: red, blue, and yellow.\n",
        "429 insufficient_quota: Budget limit exceeded: this caller has spent $0.0000",
    ):
        assert shown in done.stdout
    assert len(re.findall(r"usage: \d+ prompt \+ \d+ completion = \d+ tokens", done.stdout)) == 2
    assert re.search(r"retry-after: \d+\n", done.stdout)
    assert re.search(r"in the ledger: on \d{4}-\d\d-\d\d, ada has spent \$0\.0000\d+ of \$0\.10\n", done.stdout)
    assert "\033" not in done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
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
            if shutil.which("curl"):
                assert run_shown_command(output).endswith("data: [DONE]\n\n")
            demo.send_signal(signal.SIGINT)
            assert demo.wait(120) == 0
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


def run_shown_command(output: str) -> str:
    """Run what a reader would copy from the demonstration."""
    found = re.search(r"\$ (curl .*?)\n\n", output, re.DOTALL)
    assert found, output
    env = {**os.environ, "NO_PROXY": "127.0.0.1"}
    return subprocess.run(["bash", "-c", found[1]], env=env, capture_output=True, text=True, timeout=60, check=True).stdout


def test_it_fails_with_the_reason(tmp_path: Path) -> None:
    Path(tmp_path, "flask.py").write_text("raise ImportError('no flask today')")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 1
    assert "The demonstration failed: the app did not start" in done.stderr
    assert "no flask today" in done.stderr
