"""Which attempts a request makes, with a clock that moves when it is told to (docs/routing.md)."""

from collections import Counter
from contextlib import suppress

import pytest

from completions_mw import GatewayError, InvalidRequestError, RateLimitError
from completions_mw.core.answers.finish_reasons import interrupted_error
from completions_mw.errors import ClientDisconnectedError, ServiceUnavailableError
from completions_mw.http import Headers
from tests.core.dispatch.offline import Offline, late, refused, unreachable

PASSING = [408, 409, 425, 429, 500, 502, 503, 529]


def test_a_status_is_tried_again_if_it_may_pass() -> None:
    offline = Offline(breaker={"enabled": False})
    for status in range(400, 600):
        offline.arrive()
        offline.ends("a", refused(status))
        if status in PASSING:
            assert offline.run() == "a", status
        else:
            offline.fail()
        assert offline.context.attempts == (2 if status in PASSING else 1), status


def test_another_target_is_asked_at_once_unless_the_request_is_at_fault() -> None:
    offline = Offline("a", "b", breaker={"enabled": False})
    for status in range(400, 600):
        offline.arrive()
        offline.time.advance(60)
        offline.ends("a", refused(status))
        if status in (400, 413, 422, 504):
            offline.fail()
        else:
            assert offline.run() == "b", status
    assert offline.waits.seconds == []


def test_the_waits_grow_up_to_a_bound_chosen_at_random() -> None:
    """Full jitter: with a draw of 0.5, half of 0.5, 1, 2 and 4 seconds."""
    offline = Offline(retries={"attempts": 5}).ends("a", *[unreachable() for _ in range(4)])
    offline.run()
    assert offline.waits.seconds == [0.25, 0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ((("retry-after", "1"),), 1.0),
        ((("retry-after", "1.5"),), 1.5),
        ((("retry-after-ms", "700"),), 0.7),
        ((("retry-after", "Mon, 30 Nov 2026 18:00:03 GMT"), ("date", "Mon, 30 Nov 2026 18:00:00 GMT")), 3.0),
        ((("retry-after", "0"),), 0.25),
        ((("retry-after", "-1"),), 0.25),
        ((("retry-after", "Mon, 30 Nov 2026 17:00:00 GMT"), ("date", "Mon, 30 Nov 2026 18:00:00 GMT")), 0.25),
        ((("retry-after", "soon"),), 0.25),
        ((("retry-after-ms", "10"),), 0.25),
        ((("retry-after", "6"),), None),
        ((("retry-after", "1e9"),), None),
        ((("x-should-retry", "false"),), None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_advice_is_obeyed_if_it_is_short(headers: Headers, wait: float | None, status: int) -> None:
    offline = Offline().ends("a", refused(status, *headers))
    if wait is None:
        offline.fail()
        assert offline.waits.seconds == []
    else:
        offline.run()
        assert offline.waits.seconds == [wait]


def test_nobody_sleeps_past_the_deadline() -> None:
    offline = Offline().ends("a", refused(503, ("retry-after", "2")))
    offline.context.deadline = offline.time.monotonic + 2.04
    assert offline.fail().upstream_status == 503
    assert offline.waits.seconds == []


def test_a_deadline_shortens_each_attempt() -> None:
    offline = Offline("a", "b").ends("a", unreachable())
    offline.context.deadline = offline.time.monotonic + 5
    offline.run()
    assert offline.seconds == [5.0, 5.0]


def test_no_target_is_asked_when_there_is_no_time_left() -> None:
    offline = Offline("a", "b")
    offline.context.deadline = offline.time.monotonic + 5

    def slowly() -> GatewayError:
        offline.time.advance(4.96)
        return unreachable()

    offline.always["a"] = slowly
    assert offline.fail().code == "upstream_unreachable"
    assert offline.asked == ["a"]


def test_a_request_timeout_is_for_all_attempts_together() -> None:
    offline = Offline("a", "b", request_timeout=30, timeouts={"total": 60}).ends("a", unreachable())
    offline.run()
    assert offline.seconds == [30.0, 30.0]


def test_without_one_nothing_is_shortened() -> None:
    offline = Offline("a")
    offline.run()
    assert offline.seconds == [None]


def test_what_may_be_billed_is_tried_again_only_if_the_settings_want_it() -> None:
    offline = Offline().ends("a", late())
    assert offline.fail().maybe_billed
    offline = Offline(retries={"maybe_billed": True}).ends("a", late())
    assert offline.run() == "a"
    assert [lost.target for lost in offline.context.lost] == ["up/a"]
    assert offline.route.answers == 2


def test_a_timeout_leads_on_only_if_the_settings_want_it() -> None:
    assert Offline("a", "b").ends("a", late()).fail().code == "upstream_timeout"
    offline = Offline("a", "b", model={"fallback_on": ["timeout"]}).ends("a", late())
    assert offline.run() == "b"
    assert [lost.target for lost in offline.context.lost] == ["up/a"]
    assert offline.route.answers == 2


@pytest.mark.parametrize(
    ("kind", "code"), [("context_length", "context_length_exceeded"), ("content_filter", "content_filter"), ("timeout", None)]
)
def test_some_refusals_lead_on_only_if_the_settings_want_it(kind: str, code: str | None) -> None:
    error = refused(400, code=code) if code else late()
    for wanted in ("context_length", "content_filter", "timeout"):
        offline = Offline("a", "b", model={"fallback_on": [wanted]}).ends("a", error)
        if wanted == kind:
            assert offline.run() == "b"
        else:
            offline.fail()


def test_a_refusal_behind_a_failure_is_the_answer() -> None:
    """The request is at fault, so that nothing is tried again."""
    offline = Offline("a", "b").ends("a", refused(503)).ends("b", refused(400))
    assert offline.fail().upstream_status == 400
    assert offline.asked == ["a", "b"]


def test_one_that_asks_for_time_cools_down() -> None:
    offline = Offline("a", "b", "c").ends("a", refused(503)).ends("b", refused(429, ("retry-after", "30")))
    assert offline.run() == "c"
    assert dict(offline.context.headers) == {"x-completions-target": "up/c", "x-completions-attempts": "3"}
    offline.arrive()
    offline.asked.clear()
    offline.ends("a", refused(503))
    assert offline.run() == "c"
    assert offline.asked == ["a", "c"]


def test_a_single_target_is_asked_though_it_cools_down() -> None:
    offline = Offline().ends("a", refused(429, ("retry-after", "30")))
    assert isinstance(offline.fail(), RateLimitError)
    assert offline.run() == "a"


@pytest.mark.parametrize("error", [refused(401), refused(403), refused(429), refused(429, code="insufficient_quota")], ids=str)
def test_a_key_that_is_refused_is_followed_by_the_next_one_at_once(error: GatewayError) -> None:
    offline = Offline(keys=3).ends("a", error)
    assert offline.run() == "a"
    assert (offline.asked, offline.waits.seconds) == (["a", "a"], [])
    assert offline.route.targets[0].health.keys.ready_at <= offline.time.monotonic


def test_each_key_is_tried_once() -> None:
    offline = Offline(keys=3)
    offline.always["a"] = lambda: refused(401)
    assert offline.fail().upstream_status == 401
    assert len(offline.asked) == 3


def test_the_failure_that_is_told_is_not_lost_too() -> None:
    """The client gets it, and is charged for it, though another target could not be asked after it."""
    unable = InvalidRequestError("The API of this target has no words for it.")
    offline = Offline("a", "b", model={"fallback_on": ["timeout"]}).ends("a", late()).ends("b", unable)
    assert offline.fail().code == "upstream_timeout"
    assert (offline.context.target, offline.context.lost) == ("up/a", ())


def test_a_client_that_leaves_during_a_wait_pays_for_nobodys_work() -> None:
    offline = Offline().ends("a", unreachable())
    offline.waits.leaves.append(True)
    with pytest.raises(ClientDisconnectedError):
        offline.run()
    assert (offline.context.target, offline.context.lost) == (None, ())
    offline = Offline(retries={"maybe_billed": True}).ends("a", late())
    offline.waits.leaves.append(True)
    with pytest.raises(ClientDisconnectedError):
        offline.run()
    assert [lost.target for lost in offline.context.lost] == ["up/a"]


def test_a_client_that_leaves_during_a_wait_pays_once_for_a_cut_answer() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}

    def cut() -> GatewayError:
        offline.context.usage = usage
        return interrupted_error(usage)

    offline = Offline("a", "b", retries={"maybe_billed": True}).ends("a", unreachable())
    offline.always["b"] = cut
    offline.waits.leaves.append(True)
    with pytest.raises(ClientDisconnectedError):
        offline.run()
    assert (offline.context.usage, [lost.usage for lost in offline.context.lost]) == (None, [usage])


def test_a_client_that_leaves_ends_it() -> None:
    offline = Offline("a", "b").ends("a", ClientDisconnectedError())
    with pytest.raises(ClientDisconnectedError):
        offline.run()
    assert (offline.asked, offline.notes.failures) == (["a"], [])


def test_every_failed_attempt_is_reported() -> None:
    offline = Offline("a", "b").ends("a", unreachable(), unreachable()).ends("b", unreachable(), unreachable())
    offline.fail()
    assert offline.notes.failures == ["up/a", "up/b", "up/a", "up/b"]
    assert dict(offline.context.headers) == {"x-completions-attempts": "4"}


def test_a_plain_answer_of_a_single_target_has_no_headers() -> None:
    offline = Offline()
    offline.run()
    assert offline.context.headers == ()


def test_a_name_that_no_header_can_carry_is_quoted() -> None:
    offline = Offline("\N{GREEK SMALL LETTER ALPHA}", "b")
    offline.run()
    assert dict(offline.context.headers)["x-completions-target"] == "up/%CE%B1"


def test_names_of_targets_can_be_kept_from_clients() -> None:
    offline = Offline("a", "b", expose_targets=False)
    offline.run()
    assert dict(offline.context.headers) == {"x-completions-attempts": "1"}


def test_a_minute_of_failures_and_the_recovery() -> None:
    """200 requests a second: the upstream sees few of them, one at a time, and all of them soon after it is back."""
    offline = Offline(passes=False)
    began = offline.time.monotonic
    offline.always["a"] = lambda: refused(500)
    opened_at = None
    for _ in range(60 * 200):
        offline.arrive()
        error = offline.fail()
        if opened_at is None and offline.notes.events:
            opened_at = offline.time.monotonic
            offline.asked.clear()
        elif opened_at is not None and offline.asked and error.upstream_status is None:
            assert isinstance(error, ServiceUnavailableError)
        offline.time.advance(1 / 200)
    assert opened_at is not None
    assert opened_at - began < 2
    assert 13 <= len(offline.asked) <= 60 / 4
    assert offline.notes.events == ["breaker_opened up/a"]
    del offline.always["a"]
    back = offline.time.monotonic
    while len(offline.notes.events) == 1:
        offline.arrive()
        with suppress(ServiceUnavailableError):
            offline.run()
        offline.time.advance(1 / 200)
    assert offline.time.monotonic - back < 5
    assert offline.notes.events == ["breaker_opened up/a", "breaker_closed up/a"]


def test_retries_are_bounded_without_a_breaker_too() -> None:
    offline = Offline(passes=False, breaker={"enabled": False})
    offline.always["a"] = lambda: refused(500)
    requests = 20 * 200
    for _ in range(requests):
        offline.arrive()
        offline.fail()
        offline.time.advance(1 / 200)
    assert 1.2 * requests * 0.95 <= len(offline.asked) <= 1.2 * requests + 10 * 20


def test_a_hurried_client_does_not_open_the_breaker() -> None:
    """Or one caller could keep all others from a target by asking for answers in a millisecond."""
    offline = Offline()
    offline.always["a"] = late
    for _ in range(10):
        offline.arrive().deadline = offline.time.monotonic + 0.001
        offline.fail()
    assert not offline.route.targets[0].health.breaker.is_open
    for _ in range(5):
        offline.arrive()
        offline.fail()
    assert offline.route.targets[0].health.breaker.is_open


def test_with_every_breaker_open_the_client_is_told_when_to_come_back() -> None:
    offline = Offline("a", "b")
    for target in offline.route.targets:
        target.health.breaker.open()
    error = offline.fail()
    assert (error.status, error.code, error.retry_after) == (503, "upstream_unavailable", 4.0)
    assert offline.asked == []


def test_retries_count_neither_as_requests_nor_as_failures() -> None:
    offline = Offline(retries={"attempts": 4})
    offline.always["a"] = unreachable
    offline.fail()
    assert Counter(offline.asked) == {"a": 4}
    assert not offline.route.targets[0].health.breaker.is_open
