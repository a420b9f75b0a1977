"""Rows of usage are written behind the answers, and none is lost where a process ends without closing its gateway."""

import subprocess
import sys
from pathlib import Path

import pytest

from completions_mw import Gateway, Settings

SETTINGS = """
import asyncio, sys
from completions_mw import AsyncGateway, Gateway, Settings
model = {"targets": ["local/m"], "prices": {"input": "1", "output": "1"}}
settings = Settings.from_mapping({"providers": {"local": {"api": "echo"}}, "models": {"m": model}, "stores": {"ledger": sys.argv[1]}})
ask = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
"""
BLOCKING = """
gateway = Gateway(settings)
for _ in range(3):
    gateway.complete(**ask)
"""
ASYNC = """
gateway = AsyncGateway(settings)
async def main():
    for _ in range(3):
        await gateway.complete(**ask)
asyncio.run(main())
"""


@pytest.mark.parametrize("script", [BLOCKING, ASYNC], ids=["blocking", "async"])
def test_a_process_that_ends_writes_its_last_rows(script: str, tmp_path: Path) -> None:
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    done = subprocess.run([sys.executable, "-c", SETTINGS + script, ledger], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stderr, done.returncode) == ("", 0)
    echo = {"providers": {"local": {"api": "echo"}}, "models": {"m": {"targets": ["local/m"]}}}
    with Gateway(Settings.from_mapping({**echo, "stores": {"ledger": ledger}})) as reader:
        assert [row.requests for row in reader.usage("model")] == [3]
