import pytest
from hypothesis import given
from hypothesis import strategies as st

from completions_mw.core.resilience.breaker import Breaker
from tests.support.fake_clock import FakeClock


def opened() -> tuple[Breaker, FakeClock]:
    time = FakeClock()
    breaker = Breaker(time.clock())
    for _ in range(5):
        assert breaker.allows()
        breaker.failed()
    assert breaker.is_open
    return breaker, time


def test_four_failures_are_not_enough() -> None:
    time = FakeClock()
    breaker = Breaker(time.clock())
    for _ in range(4):
        breaker.failed()
    assert (breaker.is_open, breaker.allows()) == (False, True)


@pytest.mark.parametrize(("apart", "opens"), [(2.5, True), (2.6, False)], ids=["within 10 s", "slower"])
def test_five_failures_in_ten_seconds(apart: float, opens: bool) -> None:
    time = FakeClock()
    breaker = Breaker(time.clock())
    for _ in range(5):
        breaker.failed()
        time.advance(apart)
    assert breaker.is_open is opens


def test_a_success_between_them_resets_the_count() -> None:
    breaker = Breaker(FakeClock().clock())
    for _ in range(100):
        for _ in range(4):
            breaker.failed()
        breaker.succeeded()
    assert not breaker.is_open


def test_nobody_is_let_through_for_a_second() -> None:
    breaker, time = opened()
    time.advance(0.999)
    assert not breaker.allows()


def test_then_one_probe_is() -> None:
    breaker, time = opened()
    time.advance(1.0)
    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker, time = opened()
    time.advance(1.0)
    assert breaker.allows()
    breaker.succeeded()
    assert not breaker.is_open
    assert [breaker.allows() for _ in range(3)] == [True, True, True]
    for _ in range(4):
        breaker.failed()
    assert not breaker.is_open


def test_a_probe_that_fails_is_followed_by_another_one_a_second_later_for_ever() -> None:
    breaker, time = opened()
    for _ in range(600):
        time.advance(0.5)
        assert not breaker.allows()
        time.advance(0.5)
        assert breaker.allows()
        breaker.failed()


def test_a_probe_that_never_ends_does_not_keep_it_open() -> None:
    breaker, time = opened()
    time.advance(1.0)
    assert breaker.allows()
    time.advance(1.0)
    assert breaker.allows()


def test_late_failures_do_not_put_off_the_probe() -> None:
    breaker, time = opened()
    time.advance(0.9)
    for _ in range(10):
        breaker.failed()
    time.advance(0.1)
    assert breaker.allows()


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=60))
def test_a_store_that_is_back_is_in_use_within_two_seconds(history: list[tuple[float, bool]]) -> None:
    time = FakeClock()
    breaker = Breaker(time.clock())
    for wait, answers in history:
        time.advance(wait)
        if breaker.allows():
            if answers:
                breaker.succeeded()
            else:
                breaker.failed()
    for _ in range(20):
        time.advance(0.1)
        if breaker.allows():
            breaker.succeeded()
    assert not breaker.is_open
