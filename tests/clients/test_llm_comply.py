"""llm-comply's checks of the chat completions format, against OpenAI's own schemas, pass."""

import json
import subprocess
import sys
from pathlib import Path

from tests.clients.support import Endpoint

CHECKS = 8
"""One more is for reasoning models only, and is skipped."""


def test_all_pass(endpoint: Endpoint) -> None:
    command = [str(Path(sys.executable).parent / "llm-comply"), "--format", "openai-chat", "--json", "-m", "scripted"]
    target = ["-u", endpoint.base_url, "-k", endpoint.api_key]
    done = subprocess.run([*command, *target], capture_output=True, text=True, timeout=120, check=False)
    report = json.loads(done.stdout)
    outcomes = {check["id"]: check["status"] for check in report["results"]}
    assert [id for id, outcome in outcomes.items() if outcome == "failed"] == [], done.stdout
    assert sum(outcome == "passed" for outcome in outcomes.values()) == CHECKS
