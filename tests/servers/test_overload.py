"""More requests at once than the ledger can take at once: overload is no outage (docs/promises.md, Overload)."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from tests.servers.apps import KEY
from tests.servers.conftest import ROOT, Start, Upstream
from tests.servers.fleet import PATIENCE, books, every_pair, models
from tests.servers.kinds import Kind

BUDGET = {"usd": "1000", "period": "total"}
PRICES = {"input": "1", "output": "1"}
SECRET = KEY.removeprefix("sk-")
FEW, MANY = 16, 256


class Flood(NamedTuple):
    """What came of a flood of requests."""

    answers: dict[str, int]
    """How often there was each status, with its code."""
    seconds: float

    @property
    def per_second(self) -> float:
        return sum(self.answers.values()) / self.seconds


@contextmanager
def flooding(port: int, clients: int, requests: int, secret: str = SECRET) -> Iterator[list[Flood]]:
    """Let clients ask at once, each so often, while the block runs; the list has what came of it after the block."""
    command = [sys.executable, "-m", "tests.servers.flood", str(port), str(clients), str(requests), secret]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    outcome: list[Flood] = []
    try:
        yield outcome
        output, _ = process.communicate(timeout=PATIENCE * 5)
        outcome.append(Flood(**json.loads(output)))
    finally:
        process.kill()
        process.wait()


def flood(port: int, clients: int, requests: int, secret: str = SECRET) -> Flood:
    with flooding(port, clients, requests, secret) as outcome:
        pass
    return outcome[0]


def settings(ledger: str, ledger_timeout: float = 0.5) -> str:
    """Return the variable of a server whose only key has a budget; as long as usual, or as a machine needs that does much else."""
    keys = {"team": {"secret": KEY, "budget": BUDGET}}
    return json.dumps({"keys": keys, "models": models("ok", prices=PRICES), "stores": {"ledger": ledger, "ledger_timeout": ledger_timeout}})


def check_books(ledger: str, requests: int) -> None:
    """Check that each request was posted, and that nothing is held."""
    with books(ledger) as reader:
        [balance], [usage] = reader.balances("team"), reader.usage("key", key="team")
    assert (usage.requests, balance.reserved) == (requests, 0)
    assert balance.spent == usage.cost_nano > 0


@every_pair
def test_many_requests_at_once(kind: Kind, start: Start, upstream: Upstream, ledger: str) -> None:
    """Beside a crowd with keys that nobody knows, which do not keep those with good keys from their answers."""
    with start(kind, SETTINGS=settings(ledger, PATIENCE)) as server:
        with flooding(server.port, 200, 1, "random") as strangers:
            team = flood(server.port, 300, 1)
        assert team.answers == {"200": 300}
        assert strangers[0].answers == {"401 invalid_api_key": 200}
    check_books(ledger, 300)


@pytest.mark.soak
@every_pair
def test_goodput_under_many_steady_clients(kind: Kind, start: Start, upstream: Upstream, ledger: str) -> None:
    asked = 0
    with start(kind, SETTINGS=settings(ledger)) as server:
        for clients, requests in ((1000, 1), (FEW, 300), (MANY, 60)):
            one = flood(server.port, clients, requests)
            print(f"{kind.id} {ledger.partition(':')[0]}: {clients} clients, {one.per_second:.0f} requests a second, {one.answers}")
            assert one.answers == {"200": clients * requests}
            asked += clients * requests
        with flooding(server.port, 500, 4, "random") as strangers:
            beside = flood(server.port, FEW, 100)
        assert beside.answers == {"200": FEW * 100}
        assert strangers[0].answers == {"401 invalid_api_key": 2000}
    check_books(ledger, asked + FEW * 100)
