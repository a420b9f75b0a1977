import logging
from collections.abc import Iterator

import pytest

from completions_mw.blocking import run_sync
from completions_mw.core.ports import StoreBrokenError, StoreError, StoreRefusalError, StoreTimeoutError
from completions_mw.core.resilience.store_health import Policy, StoreHealth, StoreSnapshot
from tests.support.fake_clock import FakeClock
from tests.support.logs import line

WORDS = "redis://user:canary@host"


class Store:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def ask(self, number: int, *, plus: int = 0) -> int:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return number + plus


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(time: FakeClock) -> StoreHealth:
    return StoreHealth("admission", time.clock())


@pytest.fixture(autouse=True)
def every_line(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, "completions_mw"):
        yield


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, str]]]:
    return [(record.levelname, line(record)) for record in caplog.records]


def fail(health: StoreHealth, store: Store, policy: Policy = "local") -> None:
    with pytest.raises(StoreError):
        run_sync(health.call(policy, store.ask, 1))


def test_a_store_that_answers(health: StoreHealth, caplog: pytest.LogCaptureFixture) -> None:
    assert run_sync(health.call("local", Store().ask, 40, plus=2)) == 42
    assert health.snapshot() == StoreSnapshot("admission", open=False, failures=0, degraded=0)
    assert lines(caplog) == []


def test_the_failure_is_the_stores_own(health: StoreHealth) -> None:
    store = Store()
    store.error = StoreTimeoutError("no answer")
    with pytest.raises(StoreTimeoutError) as caught:
        run_sync(health.call("local", store.ask, 1))
    assert caught.value is store.error
    assert health.snapshot() == StoreSnapshot("admission", open=False, failures=1, degraded=1)


def test_what_is_no_failure_of_the_store_is_passed_on(health: StoreHealth) -> None:
    store = Store()
    store.error = ValueError("there already")
    with pytest.raises(ValueError, match="there already"):
        run_sync(health.call("closed", store.ask, 1))
    assert health.failures == 0


def test_a_lost_store_is_not_asked(health: StoreHealth, time: FakeClock) -> None:
    store = Store()
    store.error = StoreTimeoutError("no answer")
    for _ in range(100):
        fail(health, store)
    assert store.asked == 5
    assert health.snapshot() == StoreSnapshot("admission", open=True, failures=5, degraded=100)
    time.advance(1.0)
    for _ in range(100):
        fail(health, store)
    assert store.asked == 6


def test_a_store_that_is_back_is_asked_by_everybody(health: StoreHealth, time: FakeClock) -> None:
    store = Store()
    store.error = StoreError("down")
    for _ in range(5):
        fail(health, store)
    store.error = None
    time.advance(1.0)
    assert [run_sync(health.call("local", store.ask, number)) for number in range(3)] == [0, 1, 2]
    assert not health.snapshot().open


@pytest.mark.parametrize(
    ("policy", "level"), [("local", "WARNING"), ("open", "WARNING"), ("closed", "ERROR"), ("spool", "ERROR")], ids=lambda value: str(value)
)
def test_the_operator_is_told(health: StoreHealth, caplog: pytest.LogCaptureFixture, policy: Policy, level: str) -> None:
    store = Store()
    store.error = StoreBrokenError(WORDS)
    fail(health, store, policy)
    store.error = None
    run_sync(health.call(policy, store.ask, 1))
    run_sync(health.call(policy, store.ask, 1))
    assert lines(caplog) == [
        (level, {"event": "store_degraded", "store": "admission", "policy": policy, "error": "StoreBrokenError"}),
        ("INFO", {"event": "store_recovered", "store": "admission", "policy": policy}),
    ]


def test_the_operator_is_told_once_in_ten_seconds(health: StoreHealth, time: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.error = StoreError(WORDS)
    for _ in range(300):
        fail(health, store)
        time.advance(0.1)
    assert [line["event"] for _, line in lines(caplog)] == ["store_degraded"] * 3


def test_nothing_that_the_store_says_is_in_the_log(health: StoreHealth, caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.error = StoreError(WORDS)
    fail(health, store)
    assert "canary" not in caplog.text


def test_a_handler_that_fails_fails_nothing(health: StoreHealth, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the log's disk is full")

    monkeypatch.setattr(logging.getLogger("completions_mw"), "handle", broken)
    store = Store()
    store.error = StoreError("down")
    fail(health, store)


def test_the_operator_is_told_what_was_behind_it(health: StoreHealth, caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.error = StoreError(WORDS)
    store.error.__cause__ = ConnectionRefusedError(WORDS)
    fail(health, store)
    [(_, line)] = lines(caplog)
    assert (line["error"], line["cause"]) == ("StoreError", "ConnectionRefusedError")
    assert "canary" not in caplog.text


def test_what_the_store_refuses_alone_is_told_and_does_not_count(health: StoreHealth, caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.error = StoreRefusalError(WORDS)
    for _ in range(20):
        fail(health, store, "closed")
    assert health.snapshot() == StoreSnapshot("admission", open=False, failures=0, degraded=20)
    assert lines(caplog) == [("ERROR", {"event": "store_degraded", "store": "admission", "policy": "closed", "error": "StoreRefusalError"})]
