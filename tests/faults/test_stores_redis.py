"""Whole gateways whose Redis fails: nobody sees an error but by policy, nobody waits for it for long, and it is in use again at once."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from completions_mw import Gateway, Settings
from tests.faults.conftest import Answer
from tests.faults.crowd import AT_ONCE, Crowd, asking, every_crowd, load, recovers, statuses, store
from tests.faults.redis_faults import FAULTS, PASSWORD, address, killed, out_of_memory, stopped
from tests.support.logs import line
from tests.support.proxy import Delay, FaultProxy, Grant
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.soak
"""Real servers are stopped, and time passes: minutes, and more on a busy machine."""

KEY = "sk-canary-client-key"
RICH = "sk-canary-rich-key"
WORKERS = 4
LIMIT = 400
SHARE = LIMIT // WORKERS
PRICE = 3 * 1_000_000 + 3 * 2_000_000
"""Nano-dollars of an answer: a word is a token to the echo."""
BREAKER = 5
"""Failures after which Redis is asked once a second only."""

every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
Fault = Callable[[RedisServer], AbstractContextManager[None]]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer("--requirepass", PASSWORD) as server:
        yield server


def settings(url: str, folder: Path, policy: str = "local", **stores: Any) -> Settings:
    limits = {"requests": f"{LIMIT}/hour", "tokens": f"{10_000 * LIMIT}/hour", "concurrency": 8 * WORKERS}
    return Settings.from_mapping(
        {
            "providers": {"local": {"api": "echo"}},
            "models": {"m": {"targets": ["local/m"], "prices": {"input": "1000", "output": "2000"}}},
            "keys": {
                "client": {"secret": KEY, "limits": limits},
                "rich": {"secret": RICH, "limits": limits, "budget": {"usd": "1000", "period": "total"}},
            },
            "stores": {
                "admission": url,
                "admission_failure": policy,
                "workers": WORKERS,
                "ledger": f"sqlite:///{folder}/ledger.db",
                **stores,
            },
        }
    )


ASK = asking(KEY, "m")


def is_warm(crowd: Crowd, request: Any = ASK) -> bool:
    """Return whether Redis has answered, for a machine that has much to do may be too slow for it at first."""
    failures = store(crowd, "admission").failures
    return crowd.send(request).status == 200 and store(crowd, "admission").failures == failures


def is_in_use(crowd: Crowd) -> bool:
    crowd.send(ASK)
    return not store(crowd, "admission").open


def used_up(answer: Answer) -> int:
    assert answer.status == 200
    return LIMIT - int(answer.headers["x-ratelimit-remaining-requests"])


def degraded(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    lines = [line(record) for record in caplog.records if record.name == "completions_mw"]
    return [line for line in lines if line["event"] == "store_degraded"]


@every_fault
@every_crowd
def test_each_process_has_its_share_and_redis_is_hardly_asked(
    kind: type[Any], fault: Fault, server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The policy `local` (docs/promises.md, Stores that fail)."""
    began = time.monotonic()
    with caplog.at_level(logging.INFO), kind(settings(address(server.port), tmp_path)) as crowd:
        recovers(lambda: is_warm(crowd))
        before = store(crowd, "admission")
        with fault(server):
            answers = crowd.send_all([ASK] * (SHARE + 30))
            after = store(crowd, "admission")
            assert after.open
        lasted = time.monotonic() - began
        # What Redis has not answered in time before has taken of the share too.
        assert SHARE - before.failures <= statuses(answers)[200] <= SHARE
        assert set(statuses(answers)) == {200, 429}
        # Each request that gets in asks twice; those that were under way when the breaker opened count too, and a probe a second.
        assert after.failures - before.failures <= BREAKER + AT_ONCE + lasted
        assert after.degraded - before.degraded >= SHARE + 30
        recovers(lambda: is_in_use(crowd))
    assert 1 <= len(degraded(caplog)) <= 1 + lasted // 10
    for hidden in (PASSWORD, f":{server.port}", "127.0.0.1"):
        assert hidden not in "".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("policy", ["closed", "open"])
@pytest.mark.parametrize("fault", [stopped, out_of_memory], ids=["stopped", "out-of-memory"])
@every_crowd
def test_policies(kind: type[Any], fault: Fault, policy: str, server: RedisServer, tmp_path: Path) -> None:
    with kind(settings(address(server.port), tmp_path, policy)) as crowd:
        recovers(lambda: is_warm(crowd))
        with fault(server):
            answers = crowd.send_all([ASK] * 40)
        if policy == "open":
            assert statuses(answers) == {200: 40}
        else:
            assert statuses(answers) == {503: 40}
            assert {answer.error["code"] for answer in answers} == {"rate_limit_unavailable"}
            assert {answer.headers["retry-after"] for answer in answers} == {"1"}
        recovers(lambda: crowd.send(ASK).status == 200 and not store(crowd, "admission").open)


@pytest.mark.parametrize("fault", [killed, stopped], ids=["killed", "stopped"])
@every_crowd
def test_no_error_under_load(kind: type[Any], fault: Fault, server: RedisServer, tmp_path: Path) -> None:
    """It goes and comes while everybody is busy (docs/promises.md, Stores that fail)."""
    with kind(settings(address(server.port), tmp_path)) as crowd:
        recovers(lambda: is_warm(crowd))
        with load(crowd, ASK) as answers:
            with fault(server):
                recovers(lambda: store(crowd, "admission").open)
            recovers(lambda: not store(crowd, "admission").open)
            enough = len(answers) + AT_ONCE
            recovers(lambda: len(answers) >= enough)
    assert set(statuses(answers)) <= {200, 429}


@every_crowd
def test_who_was_asked_while_it_hung_charges_once(kind: type[Any], server: RedisServer, tmp_path: Path) -> None:
    """What was sent to it before the breaker opened is done when it wakes up, and leaves no lease (docs/promises.md, Stores that fail)."""
    with kind(settings(address(server.port), tmp_path, lease_ttl=1)) as crowd:
        recovers(lambda: is_warm(crowd))
        used = used_up(crowd.send(ASK))
        with stopped(server):
            before = store(crowd, "admission").failures
            assert statuses(crowd.send_all([ASK] * 20)) == {200: 20}
            unanswered = store(crowd, "admission").failures - before
        polls = 0
        while store(crowd, "admission").open:
            crowd.send(ASK)
            polls += 1
        charged = used_up(crowd.send(ASK)) - used
        assert 1 <= charged <= unanswered + polls + 1
        recovers(lambda: server.command("KEYS", "*:slot:*") == [])


@every_crowd
def test_a_restart_is_no_outage_and_money_is_elsewhere(
    kind: type[Any], server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its counters begin anew, budgets do not (docs/promises.md, Stores that fail)."""
    ask = asking(RICH, "m")
    with caplog.at_level(logging.WARNING, "completions_mw"), kind(settings(address(server.port), tmp_path)) as crowd:
        recovers(lambda: is_warm(crowd, ask))
        assert statuses(crowd.send_all([ask] * 20)) == {200: 20}
        server.restart()
        recovers(lambda: is_warm(crowd, ask))
        assert used_up(crowd.send(ask)) < 20
        with Gateway(settings("memory://", tmp_path)) as operator:
            [balance] = operator.balances("rich")
            [usage] = operator.usage()
        assert balance.reserved == 0
        assert balance.spent == usage.requests * PRICE >= 23 * PRICE
    assert caplog.messages.count("store_reset") == 1


@pytest.mark.parametrize("fault", [killed, stopped], ids=["killed", "stopped"])
@every_crowd
def test_streams_outlive_an_outage_longer_than_their_leases(kind: type[Any], fault: Fault, server: RedisServer, tmp_path: Path) -> None:
    may_end = threading.Event()

    def held(_: object) -> Iterator[str]:
        yield "one "
        may_end.wait(30)
        yield "two"

    with kind(settings(address(server.port), tmp_path, lease_ttl=1), models={"held": held}) as crowd:
        recovers(lambda: is_warm(crowd))
        running = crowd.begin(asking(KEY, "held", stream=True))
        with fault(server):
            # Renewals are a third of a lease apart.
            failures = store(crowd, "admission").failures
            recovers(lambda: store(crowd, "admission").failures >= failures + 4)
        recovers(lambda: is_in_use(crowd))
        may_end.set()
        answer = running.rest()
    assert answer.is_complete
    assert answer.text == "one two"


@every_crowd
def test_a_slow_and_lossy_redis(kind: type[Any], tmp_path: Path) -> None:
    """40 ms a call, and now and then all connections are lost (docs/promises.md, Stores that fail)."""
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer())
        proxy = stack.enter_context(FaultProxy("127.0.0.1", server.port, Grant()))
        crowd = stack.enter_context(kind(settings(f"redis://127.0.0.1:{proxy.port}/0", tmp_path)))
        recovers(lambda: is_warm(crowd))
        proxy.use(Delay(0.04))
        for number in range(40):
            if number % 20 == 19:
                proxy.drop()
            assert crowd.send(ASK).status == 200
        recovers(lambda: is_warm(crowd))
