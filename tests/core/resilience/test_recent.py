from hypothesis import given
from hypothesis import strategies as st

from completions_mw.core.resilience.recent import RecentCount
from completions_mw.core.resilience.retry_budget import RetryBudget
from completions_mw.settings import RetrySettings


@given(st.lists(st.floats(min_value=0, max_value=15), max_size=60))
def test_the_last_ten_seconds_are_counted(pauses: list[float]) -> None:
    """Whole seconds: the one that has begun, and the nine before it."""
    count, now, seen = RecentCount(), 1000.0, []
    for pause in pauses:
        now += pause
        seen.append(now)
        count.add(now)
        assert count.total(now) == len([one for one in seen if int(one) > int(now) - 10])


def test_what_is_forgotten_does_not_come_back() -> None:
    count = RecentCount()
    count.add(1000.0)
    assert (count.total(1009.9), count.total(1010.0), count.total(1020.0)) == (1, 0, 0)


def test_retries_are_a_part_of_the_requests_and_some_each_second() -> None:
    requests = RecentCount()
    budget = RetryBudget(RetrySettings(ratio=0.2, min_per_second=1), requests)
    for _ in range(100):
        requests.add(1000.0)
    assert [budget.take(1000.0) for _ in range(31)].count(True) == 0.2 * 100 + 10
    assert not budget.take(1009.0)
    assert budget.take(1011.0)


def test_a_budget_of_nothing_allows_nothing() -> None:
    budget = RetryBudget(RetrySettings(ratio=0, min_per_second=0), RecentCount())
    assert not budget.take(1000.0)
