"""A second target beside one that takes longer than it mostly does (docs/routing.md, Hedging)."""

import pytest

from completions_mw.core.answers.finish_reasons import interrupted_error
from completions_mw.errors import UpstreamError
from tests.core.dispatch.offline import Offline, refused


def hedged(*targets: str, measured: int = 20) -> Offline:
    """Return attempts whose first target mostly answers within a second."""
    offline = Offline(*targets, model={"hedge": True})
    latency = offline.route.targets[0].health.latency
    assert latency is not None
    for _ in range(measured):
        latency.learn(offline.time.monotonic, 1.0, is_stream=False)
    return offline


def test_the_sooner_of_two_answers_and_both_are_charged() -> None:
    offline = hedged("a", "b")
    assert offline.run() == "b"
    assert offline.waits.seconds == [1.0]
    assert (offline.context.target, offline.context.attempts) == ("up/b", 2)
    assert [lost.target for lost in offline.context.lost] == ["up/a"]
    assert offline.route.answers == 2


def test_a_single_target_is_asked_twice() -> None:
    offline = hedged("a")
    assert offline.run() == "a"
    assert offline.asked == ["a", "a"]


def test_a_rival_that_fails_changes_nothing() -> None:
    offline = hedged("a", "b").ends("b", refused(500))
    assert offline.run() == "a"
    assert (offline.context.attempts, offline.context.lost) == (2, ())


def test_if_both_fail_the_next_target_is_asked() -> None:
    offline = hedged("a", "b", "c").ends("a", refused(500)).ends("b", refused(500), refused(500))
    assert offline.run() == "c"
    assert offline.asked == ["b", "a", "b", "c"]


def test_if_both_fail_and_are_charged_no_other_is_asked() -> None:
    """A budget has reserved two answers (docs/routing.md, Money)."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    offline = hedged("a", "b", "c").ends("a", interrupted_error(usage)).ends("b", interrupted_error(usage))
    with pytest.raises(UpstreamError):
        offline.run()
    assert offline.asked == ["b", "a"]


def test_nothing_is_hedged_before_enough_is_known() -> None:
    offline = hedged("a", "b", measured=19)
    assert offline.run() == "a"
    assert offline.asked == ["a"]


def test_hedges_share_the_budget_of_retries() -> None:
    """Or a slow upstream would get twice as much to do."""
    offline = hedged("a")
    while offline.route.targets[0].health.retries.take(offline.time.monotonic):
        pass
    assert offline.run() == "a"
    assert offline.asked == ["a"]
