"""Wall clocks that jump: limits, leases and deadlines go by clocks that do not (FAULTS FC-88)."""

import json
import os
import re
import subprocess
import sys
from shutil import which

import pytest

from tests.support.redis_server import RedisServer, missing

STEPS = 20
LIMIT = 5
WORKER = """
import json, os, sys, time
from completions_mw import Settings
from tests.faults.crowd import AsyncCrowd, BlockingCrowd, asking

kind, admission = {"blocking": BlockingCrowd, "async": AsyncCrowd}[sys.argv[1]], sys.argv[2]
STEPS, LIMIT = map(int, sys.argv[3:])
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
        "free": {"secret": KEY, "limits": {"concurrency": 2}},
        "limited": {"secret": "sk-limited", "limits": {"requests": f"{LIMIT}/minute"}},
    },
    "stores": {"admission": admission, "admission_failure": "closed", "lease_ttl": 1},
    "timeouts": {"total": 60, "between_events": 30, "first_byte": 30},
})
with kind(settings, models={"m": str, "long": long}) as crowd:
    stream = crowd.begin(asking(KEY, "long", stream=True)).rest()
    statuses = []
    for number in range(STEPS):
        step(number)
        statuses.append(crowd.send(asking("sk-limited", "m")).status)
jumps = sum(abs(later - earlier) > 1800 for earlier, later in zip(moments, moments[1:]))
print(json.dumps({"complete": stream.is_complete, "text": stream.text, "statuses": statuses, "jumps": jumps}))
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
def test_a_wall_clock_that_jumps_breaks_nothing(kind: str, store: str) -> None:
    faketime = which("faketime")
    if faketime is None:
        missing("faketime")
    options = {"FAKETIME": "+0", "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}
    library = re.findall("^LD_PRELOAD=(.*)$", subprocess.check_output([str(faketime), "-f", "+0", "env"], text=True), re.MULTILINE)[0]
    with RedisServer() as server:
        address = "memory://" if store == "memory" else f"{server.url}?socket_timeout=5"
        command = [sys.executable, "-c", WORKER, kind, address, str(STEPS), str(LIMIT)]
        env = {**os.environ, **options, "LD_PRELOAD": library}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["jumps"] >= STEPS
    assert seen["complete"]
    assert seen["text"] == "word " * STEPS
    assert seen["statuses"] == [200] * LIMIT + [429] * (STEPS - LIMIT)
