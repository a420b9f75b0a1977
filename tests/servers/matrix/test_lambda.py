"""A function of AWS Lambda: answers as everywhere, and streams in one piece (docs/servers.md)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.conftest import ROOT, Upstream
from tests.support.grammar import check_stream

pytestmark = pytest.mark.soak


def test_events_are_answered(packages: Path, upstream: Upstream) -> None:
    before = upstream.connections
    env = {**os.environ, "UPSTREAM_URL": upstream.url, "PYTHONPATH": f"{packages}:{ROOT}"}
    command = [sys.executable, "-m", "tests.servers.matrix.as_lambda"]
    done = subprocess.run(command, env=env, cwd=ROOT, check=True, capture_output=True, timeout=60)
    whole, stream, refused = json.loads(done.stdout)
    assert json.loads(whole["body"])["choices"][0]["message"]["content"] == "one two"
    assert check_stream(stream["body"].encode()).texts == {0: "one two"}
    assert (whole["statusCode"], stream["statusCode"], refused["statusCode"]) == (200, 200, 401)
    assert upstream.connections == before + 1
