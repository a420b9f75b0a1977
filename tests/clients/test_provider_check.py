"""TrustedRouter's checker of OpenAI-compatible servers finds nothing to fail."""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.clients.support import Endpoint

TIERS = 5
WARNED = {
    # It sends `thinking` and `reasoning`, which chat completions do not have: OpenAI answers 400 as we do (docs/contract.md, Requests).
    "chat.forwarded-fields",
    # It wants two calls at once; the echo makes one.
    "tools.parallel-deltas",
}
TIMED = {
    # It measures the time between chunks: the echo answers at once, and what leaves together may arrive together.
    "stream.incremental-delivery",
}
SKIPPED = {
    # A catalog is a file of TrustedRouter's own.
    "catalog.declared-v2",
    # It goes on from the two calls.
    "tools.round-trip",
}


@pytest.fixture(scope="module")
def report(endpoint: Endpoint) -> dict[str, set[str]]:
    """The names of the checks, by their outcome."""
    command = [Path(sys.executable).parent / "trustedrouter-provider-check", "--tier", TIERS, "--json", "-"]
    target = ["--base-url", endpoint.base_url, "--api-key", "sk-checker-0123456789", "--model", "gpt-3.5-turbo"]
    done = subprocess.run([*map(str, command), *target], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    outcomes = defaultdict(set)
    for check in json.loads(done.stdout)["checks"]:
        outcomes[check["status"]].add(check["id"])
    return outcomes


def test_nothing_fails(report: dict[str, set[str]]) -> None:
    assert not report["fail"]
    assert len(report["pass"] - TIMED) == 17


def test_warnings_are_the_known_ones(report: dict[str, set[str]]) -> None:
    assert report["warn"] - TIMED == WARNED
    assert report["skip"] == SKIPPED
