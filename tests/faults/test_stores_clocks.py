"""Wall clocks that jump: limits, leases and deadlines go by clocks that do not, and money is settled once (docs/promises.md)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from tests.support.redis_server import RedisServer, missing

STEPS = 20
LIMIT = 5
WORKER = """
import json, os, sys, time
from completions_mw import Gateway, Settings
from tests.faults.crowd import AsyncCrowd, BlockingCrowd, asking

kind, admission, ledger = {"blocking": BlockingCrowd, "async": AsyncCrowd}[sys.argv[1]], *sys.argv[2:4]
STEPS, LIMIT = map(int, sys.argv[4:])
KEY = "sk-canary-client-key"
moments = []

def step(number):
    os.environ["FAKETIME"] = ["+0", "+1h", "-1h"][number % 3]
    moments.append(time.time())

def long(_):
    for number in range(STEPS):
        step(number)
        yield "word "

settings = Settings.from_mapping({
    "keys": {
        "rich": {"secret": KEY, "limits": {"concurrency": 2}, "budget": {"usd": "1", "period": "total"}},
        # Whoever is refused looks for reservations that have expired.
        "poor": {"secret": "sk-poor-key", "budget": {"usd": "0.000001", "period": "total"}},
        "limited": {"secret": "sk-limited", "limits": {"requests": f"{LIMIT}/minute"}},
    },
    "models": {"long": {"prices": {"input": "0", "output": "1000"}, "max_output_tokens": 100}},
    "stores": {"admission": admission, "admission_failure": "closed", "ledger": ledger, "ledger_timeout": 30, "lease_ttl": 1},
    "timeouts": {"total": 60, "between_events": 30, "first_byte": 30},
})
with kind(settings, models={"m": str, "long": long}) as crowd:
    running = crowd.begin(asking(KEY, "long", stream=True))
    statuses, refused = [], set()
    for number in range(STEPS):
        step(number)
        statuses.append(crowd.send(asking("sk-limited", "m")).status)
        refused.add(crowd.send(asking("sk-poor-key", "long")).status)
    stream = running.rest()
with Gateway(settings, models={"m": str, "long": long}) as books:
    money = [books.balances("rich")[0][-2:], [row.cost_nano for row in books.usage(key="rich")], books.usage(key="poor")]
jumps = sum(abs(later - earlier) > 1800 for earlier, later in zip(moments, moments[1:]))
print(json.dumps({"complete": stream.is_complete, "text": stream.text, "statuses": statuses, "jumps": jumps,
    "refused": list(refused), "money": money}))
"""


@pytest.mark.parametrize(
    ("kind", "store"),
    [
        ("blocking", "redis"),
        ("async", "memory"),
        pytest.param("blocking", "memory", marks=pytest.mark.soak),
        pytest.param("async", "redis", marks=pytest.mark.soak),
    ],
)
def test_a_wall_clock_that_jumps_breaks_nothing(kind: str, store: str, tmp_path: Path) -> None:
    faketime = which("faketime")
    if faketime is None:
        missing("faketime")
    options = {"FAKETIME": "+0", "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}
    library = re.findall("^LD_PRELOAD=(.*)$", subprocess.check_output([str(faketime), "-f", "+0", "env"], text=True), re.MULTILINE)[0]
    with RedisServer() as server:
        address = "memory://" if store == "memory" else f"{server.url}?socket_timeout=5"
        command = [sys.executable, "-c", WORKER, kind, address, f"sqlite:///{tmp_path}/ledger.db", str(STEPS), str(LIMIT)]
        env = {**os.environ, **options, "LD_PRELOAD": library}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["jumps"] >= STEPS
    assert seen["complete"]
    assert seen["text"] == "word " * STEPS
    assert seen["refused"] == [429]
    cost = len(seen["text"]) // 4 * 10**6
    assert seen["money"] == [[cost, 0], [cost], []]
    assert seen["statuses"] == [200] * LIMIT + [429] * (STEPS - LIMIT)
