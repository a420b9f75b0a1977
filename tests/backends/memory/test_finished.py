"""The memory of finished requests: as long as is promised, bounded, and without a pause."""

from completions_mw.backends.memory.finished import FINISHED_MS, FinishedRequests


def test_a_request_is_remembered_for_its_time_and_not_for_ever() -> None:
    finished = FinishedRequests()
    for now in range(0, 4 * FINISHED_MS, 100):
        finished.add(f"r{now}", now)
        assert all(finished.has(f"r{then}", now) for then in range(max(0, now - FINISHED_MS + 100), now + 1, 100)), now
        assert not any(finished.has(f"r{then}", now) for then in range(0, now - 2 * FINISHED_MS + 1, 100)), now


def test_a_request_is_forgotten_though_no_other_finishes() -> None:
    finished = FinishedRequests()
    finished.add("r", 0)
    assert finished.has("r", FINISHED_MS - 1)
    assert not finished.has("r", 2 * FINISHED_MS)
    assert not finished.has("other", 2 * FINISHED_MS)


def test_rare_calls_do_not_prolong_what_is_remembered() -> None:
    finished = FinishedRequests()
    finished.add("r", 0)
    assert finished.has("r", 2 * FINISHED_MS - 1)
    assert not finished.has("r", 2 * FINISHED_MS)


def test_what_is_forgotten_is_freed_with_the_requests_that_follow() -> None:
    finished = FinishedRequests()
    for number in range(1000):
        finished.add(f"r{number}", 0)
    for number in range(2000):
        finished.add(f"s{number}", (1 + number // 1000) * FINISHED_MS)
    assert len(finished._forgotten) == 0
