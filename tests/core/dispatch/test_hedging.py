"""A second target beside one that takes longer than it mostly does (docs/routing.md, Hedging)."""

import pytest

from completions_mw.core.answers.finish_reasons import interrupted_error
from completions_mw.errors import UpstreamError
from tests.core.dispatch.offline import Bench, refused


def hedged(*targets: str, measured: int = 20) -> Bench:
    """Return a bench whose first target mostly answers within a second."""
    bench = Bench(*targets, model={"hedge": True})
    latency = bench.route.targets[0].health.latency
    assert latency is not None
    for _ in range(measured):
        latency.learn(bench.time.monotonic, 1.0, is_stream=False)
    return bench


def test_the_sooner_of_two_answers_and_both_are_charged() -> None:
    bench = hedged("a", "b")
    assert bench.run() == "b"
    assert bench.waits.seconds == [1.0]
    assert (bench.context.target, bench.context.attempts) == ("up/b", 2)
    assert [lost.target for lost in bench.context.lost] == ["up/a"]
    assert bench.route.answers == 2


def test_a_single_target_is_asked_twice() -> None:
    bench = hedged("a")
    assert bench.run() == "a"
    assert bench.asked == ["a", "a"]


def test_a_rival_that_fails_changes_nothing() -> None:
    bench = hedged("a", "b").ends("b", refused(500))
    assert bench.run() == "a"
    assert (bench.context.attempts, bench.context.lost) == (2, ())


def test_if_both_fail_the_next_target_is_asked() -> None:
    bench = hedged("a", "b", "c").ends("a", refused(500)).ends("b", refused(500), refused(500))
    assert bench.run() == "c"
    assert bench.asked == ["b", "a", "b", "c"]


def test_if_both_fail_and_are_charged_no_other_is_asked() -> None:
    """A budget has reserved two answers (docs/routing.md, Money)."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    bench = hedged("a", "b", "c").ends("a", interrupted_error(usage)).ends("b", interrupted_error(usage))
    with pytest.raises(UpstreamError):
        bench.run()
    assert bench.asked == ["b", "a"]


def test_nothing_is_hedged_before_enough_is_known() -> None:
    bench = hedged("a", "b", measured=19)
    assert bench.run() == "a"
    assert bench.asked == ["a"]


def test_hedges_share_the_budget_of_retries() -> None:
    """Or a slow upstream would get twice as much to do."""
    bench = hedged("a")
    while bench.route.targets[0].health.retries.take(bench.time.monotonic):
        pass
    assert bench.run() == "a"
    assert bench.asked == ["a"]
