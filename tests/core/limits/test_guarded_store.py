from contextlib import suppress
from dataclasses import replace
from typing import Literal

import pytest

from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.blocking import run_sync
from completions_mw.core.costs.tokens import NO_ESTIMATE, TokenEstimate
from completions_mw.core.limits.guarded_store import GuardedAdmission
from completions_mw.core.ports import (
    Admission,
    AdmissionStore,
    Lease,
    StoreError,
    StoreRefusalError,
    StoreTimeoutError,
    Window,
)
from completions_mw.core.resilience.store_health import StoreHealth
from completions_mw.errors import ServiceUnavailableError, error_body
from tests.support.fake_clock import FakeClock
from tests.support.faulty import Fault

REQUESTS = Window("requests", 10, 60, counts_tokens=False)
TOKENS = Window("tokens", 1000, 60, counts_tokens=True)
STATED = TokenEstimate(100, 100, 0, 0, client_set_max=True)
ASSUMED = TokenEstimate(100, 100, 4900, 4900, client_set_max=False)
"""The prompt has 100 tokens; the rest is what we think that an answer may take."""
PLACES = Lease("places", 4)
LEASE_MS = 30_000


class Guarded:
    """A guarded store with its parts."""

    def __init__(self, policy: Literal["local", "closed", "open"] = "local", workers: int = 1, max_remembered: int = 1000) -> None:
        self.time = FakeClock()
        clock = self.time.clock()
        self.shared = MemoryAdmission(clock)
        self.local = MemoryAdmission(clock)
        self.fault: Fault[AdmissionStore] = Fault(self.shared)
        self.health = StoreHealth("admission", clock)
        self.store = GuardedAdmission(self.fault.store, policy, self.local, workers, self.health, max_remembered)

    def break_store(self, *, timeout: bool = False, too_late: bool = False) -> None:
        self.fault.error = StoreTimeoutError("no answer") if timeout else StoreError("down")
        self.fault.too_late = too_late

    def mend_store(self) -> None:
        self.fault.error = None
        self.time.advance(1.0)

    def admit(self, id: str, *windows: Window, leases: tuple[Lease, ...] = (), estimate: TokenEstimate = STATED) -> Admission:
        answer = run_sync(self.store.admit(id, windows or (REQUESTS,), leases, estimate, LEASE_MS))
        return Admission(answer.admitted, answer.used, answer.reset_ms, answer.held)

    def finish(self, id: str, tokens: int | None = None) -> None:
        run_sync(self.store.finish(id, tokens))


def used(store: AdmissionStore, window: Window) -> int:
    """Return how much of a window is used, without using any of it."""
    return run_sync(store.admit("probe", [window._replace(limit=-1)], [], NO_ESTIMATE, LEASE_MS)).used[0]


def held(store: AdmissionStore) -> int:
    """Return how many places are leased."""
    impossible = Window("impossible", 0, 1, counts_tokens=False)
    return run_sync(store.admit("probe", [impossible], [PLACES], NO_ESTIMATE, LEASE_MS)).held[0]


def test_a_store_that_answers_decides() -> None:
    guarded = Guarded(workers=2)
    assert guarded.admit("a", TOKENS, leases=(PLACES,)) == Admission(True, [100], [60_000], [0])
    assert run_sync(guarded.store.renew({"a": [PLACES]}, LEASE_MS)) == []
    guarded.finish("a", 30)
    assert guarded.fault.calls == ["admit", "renew", "finish"]
    assert used(guarded.shared, TOKENS) == 30
    assert used(guarded.local, TOKENS) == 0


@pytest.mark.parametrize(("workers", "share"), [(1, 10), (2, 5), (3, 4), (4, 3), (100, 1)])
def test_without_the_store_each_process_has_its_share(workers: int, share: int) -> None:
    guarded = Guarded(workers=workers)
    guarded.break_store()
    verdicts = [guarded.admit(str(number)).admitted for number in range(12)]
    assert verdicts == [True] * share + [False] * (12 - share)


def test_a_share_stands_as_the_whole_limit_does_if_others_use_theirs() -> None:
    guarded = Guarded(workers=4)
    guarded.break_store()
    first = guarded.admit("a", leases=(PLACES,))
    assert first == Admission(True, [8], [60_000], [3])
    second = guarded.admit("b", leases=(PLACES,))
    assert second == Admission(False, [8], [60_000], [4])


def test_what_never_fits_into_a_share_may_be_tried_again_when_the_store_may_be_back() -> None:
    guarded = Guarded(workers=20)
    guarded.break_store()
    assert guarded.admit("a", TOKENS) == Admission(False, [950], [1000], [])


def test_what_we_assume_is_cut_to_the_share() -> None:
    """Else no request without a maximum of its own gets in for the whole outage."""
    guarded = Guarded(workers=4)
    guarded.break_store()
    assert guarded.admit("a", TOKENS, estimate=ASSUMED) == Admission(True, [1000], [60_000], [])
    assert used(guarded.local, TOKENS) == 250
    assert guarded.admit("b", TOKENS, estimate=ASSUMED) == Admission(False, [250], [60_000], [])
    guarded.finish("a", 30)
    assert used(guarded.local, TOKENS) == 30


def test_what_a_request_asks_for_is_not_cut() -> None:
    guarded = Guarded(workers=4)
    guarded.break_store()
    assert not guarded.admit("a", TOKENS, estimate=replace(ASSUMED, prompt=251)).admitted
    assert guarded.admit("a", TOKENS, estimate=replace(ASSUMED, prompt=250)).admitted


def test_what_is_cut_is_not_what_is_in_the_way() -> None:
    guarded = Guarded(workers=4)
    guarded.break_store()
    one = PLACES._replace(limit=1)
    guarded.admit("a", leases=(one,))
    verdict = guarded.admit("b", TOKENS, leases=(one,), estimate=ASSUMED)
    assert verdict == Admission(False, [0], [1000], [1])


def test_the_share_is_finished_where_it_was_admitted() -> None:
    guarded = Guarded(workers=2)
    guarded.break_store()
    guarded.admit("a", TOKENS, leases=(PLACES,))
    guarded.mend_store()
    assert run_sync(guarded.store.renew({"a": [PLACES]}, LEASE_MS)) == []
    assert (held(guarded.local), held(guarded.shared)) == (1, 0)
    guarded.finish("a", 30)
    assert (used(guarded.local, TOKENS), held(guarded.local)) == (30, 0)
    assert guarded.fault.calls == ["admit"]


def test_requests_of_both_stores_are_renewed_together() -> None:
    guarded = Guarded()
    guarded.admit("shared", leases=(PLACES,))
    guarded.break_store()
    guarded.admit("local", leases=(PLACES,))
    guarded.mend_store()
    guarded.time.advance(20)
    assert run_sync(guarded.store.renew({"shared": [PLACES], "local": [PLACES]}, LEASE_MS)) == []
    guarded.time.advance(20)
    assert (held(guarded.local), held(guarded.shared)) == (1, 1)


def test_lost_leases_of_both_stores_are_told() -> None:
    guarded = Guarded()
    one = Lease("places", 1)
    guarded.admit("shared", leases=(one,))
    guarded.break_store()
    guarded.admit("local", leases=(one,))
    guarded.mend_store()
    guarded.time.advance(31)
    run_sync(guarded.shared.admit("thief", [], [one], NO_ESTIMATE, LEASE_MS))
    run_sync(guarded.local.admit("thief", [], [one], NO_ESTIMATE, LEASE_MS))
    assert sorted(run_sync(guarded.store.renew({"shared": [one], "local": [one]}, LEASE_MS))) == ["local", "shared"]


def test_leases_that_cannot_be_renewed_are_not_lost_yet() -> None:
    guarded = Guarded()
    guarded.admit("a", leases=(PLACES,))
    guarded.break_store()
    assert run_sync(guarded.store.renew({"a": [PLACES]}, LEASE_MS)) == []


def test_a_finish_that_fails_does_not_raise() -> None:
    guarded = Guarded()
    guarded.admit("a", leases=(PLACES,))
    guarded.break_store()
    guarded.finish("a", 3)
    guarded.time.advance(30)
    assert held(guarded.shared) == 0


def test_what_may_have_been_admitted_by_both_is_finished_in_both() -> None:
    guarded = Guarded()
    guarded.break_store(timeout=True, too_late=True)
    assert guarded.admit("a", TOKENS, leases=(PLACES,)).admitted
    assert (held(guarded.local), held(guarded.shared)) == (1, 1)
    guarded.mend_store()
    guarded.admit("next")
    guarded.finish("a", 30)
    assert (held(guarded.local), held(guarded.shared)) == (0, 0)
    assert (used(guarded.local, TOKENS), used(guarded.shared, TOKENS)) == (30, 30)


def test_a_request_waits_once_for_a_store_that_does_not_answer() -> None:
    guarded = Guarded()
    guarded.break_store(timeout=True, too_late=True)
    guarded.admit("a", TOKENS, leases=(PLACES,))
    guarded.finish("a", 30)
    assert guarded.fault.calls == ["admit"]
    guarded.mend_store()
    guarded.admit("b")
    assert guarded.fault.calls == ["admit", "admit", "finish"]
    assert (held(guarded.shared), used(guarded.shared, TOKENS)) == (0, 30)


def test_nobody_gets_in() -> None:
    guarded = Guarded("closed")
    guarded.break_store()
    with pytest.raises(ServiceUnavailableError) as caught:
        guarded.admit("a")
    error = caught.value
    assert error_body(error)["error"] == {
        "message": "Rate limits cannot be checked at the moment. Please try again.",
        "type": "server_error",
        "param": None,
        "code": "rate_limit_unavailable",
    }
    assert (error.status, error.headers, error.next_target) == (503, (("retry-after", "1"),), False)


def test_everybody_gets_in() -> None:
    guarded = Guarded("open")
    guarded.break_store()
    for number in range(100):
        verdict = guarded.admit(str(number), TOKENS, leases=(PLACES,))
        assert verdict == Admission(True, [100], [0], [0])
        guarded.finish(str(number), 5)


@pytest.mark.parametrize("policy", ["local", "open"])
def test_a_lost_store_is_left_alone_until_it_is_back(policy: Literal["local", "open"]) -> None:
    guarded = Guarded(policy)
    guarded.break_store(timeout=True)
    for number in range(100):
        guarded.admit(str(number))
    assert len(guarded.fault.calls) == 5
    guarded.mend_store()
    guarded.admit("back")
    assert used(guarded.shared, REQUESTS) == 1


def test_what_is_remembered_is_bounded() -> None:
    guarded = Guarded(max_remembered=10)
    guarded.break_store()
    plenty = REQUESTS._replace(limit=10_000)
    for number in range(1000):
        guarded.admit(f"abandoned-{number}", plenty)
    assert len(guarded.store._newer) + len(guarded.store._older) <= 20
    guarded.admit("last", plenty, leases=(PLACES,))
    guarded.finish("last")
    assert held(guarded.local) == 0


def test_both_stores_are_closed() -> None:
    guarded = Guarded()
    local: Fault[AdmissionStore] = Fault(guarded.local)
    run_sync(GuardedAdmission(guarded.fault.store, "local", local.store, 1, guarded.health).aclose())
    assert (guarded.fault.calls, local.calls) == (["aclose"], ["aclose"])


@pytest.mark.parametrize("policy", ["closed", "local"])
def test_what_the_store_holds_for_a_request_that_did_not_go_on_is_given_back(policy: Literal["local", "closed"]) -> None:
    guarded = Guarded(policy)
    run_sync(guarded.local.admit("other", [], [PLACES._replace(limit=1)], NO_ESTIMATE, LEASE_MS))
    guarded.break_store(timeout=True, too_late=True)
    one = PLACES._replace(limit=1)
    with suppress(ServiceUnavailableError):
        assert not guarded.admit("refused", TOKENS, leases=(one,)).admitted
    assert guarded.fault.calls == ["admit"]
    assert (held(guarded.shared), used(guarded.shared, TOKENS)) == (1, 100)
    guarded.mend_store()
    guarded.admit("next")
    assert (held(guarded.shared), used(guarded.shared, TOKENS)) == (0, 0)
    guarded.finish("next")
    assert guarded.fault.calls == ["admit", "admit", "finish", "finish"]


def test_it_is_given_back_by_whoever_meets_the_store_again() -> None:
    guarded = Guarded("closed")
    guarded.admit("running")
    guarded.break_store(timeout=True, too_late=True)
    for request_id in ("a", "b"):
        with pytest.raises(ServiceUnavailableError):
            guarded.admit(request_id, leases=(PLACES,))
    guarded.finish("running")
    assert held(guarded.shared) == 2
    guarded.mend_store()
    guarded.finish("somebody")
    assert held(guarded.shared) == 0


@pytest.mark.parametrize("error", [StoreError("down"), StoreRefusalError("no connection is free")], ids=["down", "busy"])
def test_a_finish_that_did_not_get_there_is_said_once_more(error: StoreError) -> None:
    """Else a place is held by nobody until its lease ends."""
    guarded = Guarded()
    guarded.admit("a", TOKENS, leases=(PLACES,))
    guarded.fault.error = error
    guarded.finish("a", 30)
    guarded.mend_store()
    guarded.admit("b")
    assert (held(guarded.shared), used(guarded.shared, TOKENS)) == (0, 30)


def test_what_is_to_be_given_back_is_bounded() -> None:
    guarded = Guarded("closed")
    for number in range(500):
        guarded.break_store(timeout=True)
        with pytest.raises(ServiceUnavailableError):
            guarded.admit(str(number))
        guarded.time.advance(11)
    guarded.mend_store()
    guarded.fault.calls.clear()
    guarded.admit("back")
    assert guarded.fault.calls == ["admit"] + ["finish"] * 100
