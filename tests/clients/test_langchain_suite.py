"""LangChain's own tests of chat models (`langchain-tests`) pass against our server."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from tests.clients.support import Endpoint

ROOT = Path(__file__).parents[2]
SUITE = "tests/clients/suites/langchain_chat.py"
COUNT = 50
SKIPPED = 3
"""Tests that need images or files in tool messages, which OpenAI's API does not have, and records of HTTP."""


def test_all_pass(endpoint: Endpoint, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    scopes = ("asyncio_default_fixture_loop_scope", "asyncio_default_test_loop_scope")
    # The client keeps one connection pool for all loops.
    loops = [part for scope in scopes for part in ("-o", f"{scope}=session")]
    modes = ["-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto", *loops]
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", ".", *modes, "--junitxml", str(report), SUITE]
    env = {**os.environ, "BASE_URL": endpoint.base_url, "API_KEY": endpoint.api_key, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert report.is_file(), done.stdout + done.stderr
    [result] = ElementTree.parse(report).getroot().iter("testsuite")
    counts = [int(result.get(kind, -1)) for kind in ("tests", "failures", "errors", "skipped")]
    assert counts == [COUNT, 0, 0, SKIPPED], done.stdout
