import pytest

from completions_mw.core.resilience import TargetHealth
from completions_mw.settings import BreakerSettings, RetrySettings
from tests.support.fake_clock import FakeClock


def health(**breaker: float) -> tuple[TargetHealth, FakeClock]:
    time = FakeClock()
    return TargetHealth(time.clock(), RetrySettings(), BreakerSettings.model_validate(breaker)), time


def test_failures_in_a_row_open_the_breaker_once() -> None:
    target, time = health(failures=3)
    assert [target.failed(time.monotonic) for _ in range(4)] == [False, False, True, False]


@pytest.mark.parametrize(("every", "opens"), [(2, True), (3, False)])
def test_half_of_many_requests_open_it_too(every: int, opens: bool) -> None:
    target, time = health()
    for request in range(40):
        target.count(time.monotonic)
        if request % every:
            target.succeeded(time.monotonic)
        else:
            target.failed(time.monotonic)
    assert target.breaker.is_open is opens


def test_few_requests_prove_nothing() -> None:
    target, time = health(failures=20)
    for _ in range(19):
        target.count(time.monotonic)
        target.failed(time.monotonic)
    assert not target.breaker.is_open


def test_an_answer_to_an_earlier_request_does_not_close_it() -> None:
    target, time = health(failures=1)
    asked = time.monotonic
    time.advance(1)
    assert target.failed(time.monotonic)
    assert not target.succeeded(asked)
    assert target.breaker.is_open
    time.advance(4)
    assert target.breaker.allows()
    assert target.succeeded(time.monotonic)
    assert not target.breaker.is_open


def test_a_closed_breaker_begins_anew() -> None:
    """What failed before is not held against the target that is back."""
    target, time = health()
    for _ in range(40):
        target.count(time.monotonic)
        target.failed(time.monotonic)
    time.advance(4)
    assert target.breaker.allows()
    target.succeeded(time.monotonic)
    assert not target.failed(time.monotonic)


def test_it_can_be_switched_off() -> None:
    target, time = health(enabled=False)
    assert not any(target.failed(time.monotonic) for _ in range(100))
    assert not target.breaker.is_open
