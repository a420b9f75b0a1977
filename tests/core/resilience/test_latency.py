import pytest

from completions_mw.core.resilience.latency import Latency


def measured(*seconds: float) -> Latency:
    latency = Latency()
    for second in seconds:
        latency.learn(100.0, second)
    return latency


def test_it_rises_at_once_and_falls_slowly() -> None:
    latency = measured(0.1)
    latency.learn(101.0, 2.0)
    assert latency.cost(101.0) == 2.0
    latency.learn(102.0, 0.1)
    assert 1.5 < latency.cost(102.0) < 2.0


def test_without_news_it_is_forgotten() -> None:
    latency = measured(2.0)
    assert latency.cost(110.0) == pytest.approx(2.0 / 2.718, rel=0.01)
    assert latency.cost(200.0) < 0.001


def test_requests_that_wait_count() -> None:
    latency = measured(1.0)
    latency.began()
    latency.began()
    assert latency.cost(100.0) == 3.0
    latency.ended()
    assert latency.cost(100.0) == 2.0


def test_the_95th_percentile_needs_enough_measurements() -> None:
    assert measured(*[1.0] * 19).percentile_95() is None
    assert measured(*(second / 100 for second in range(100))).percentile_95() == 0.95
