"""What every admission store does: one suite, on memory and on Redis, blocking and async (docs/promises.md, Limits)."""

from collections.abc import Iterator

import pytest

from completions_mw.core.ports import Admission, Lease
from tests.support.admission import AsyncRedisStand, MemoryStand, RedisStand, Stand, requests, tokens

PLACE = Lease("place", 1)


@pytest.fixture(params=["memory", "redis-blocking", "redis-async"])
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    made: Stand
    if request.param == "memory":
        made = MemoryStand()
    else:
        server = request.getfixturevalue("redis_server")
        made = RedisStand(server) if request.param == "redis-blocking" else AsyncRedisStand(server)
    yield made
    made.close()


def used(admission: Admission) -> tuple[int, ...]:
    return (*admission.used, *admission.held)


def peek(stand: Stand, *buckets: str) -> tuple[int, ...]:
    """Return how windows stand, without a charge: a request that is refused."""
    return used(stand.admit("peek", *(requests(bucket, limit=-1) for bucket in buckets)))


def test_an_admission_tells_how_every_limit_stands(stand: Stand) -> None:
    first = stand.admit("r1", requests("a"), tokens("b", 300, seconds=3600), Lease("c", 2))
    assert first.admitted
    assert used(first) == (1, 300, 0)
    assert [59_000 < first.reset_ms[0] <= 60_000, 3_599_000 < first.reset_ms[1] <= 3_600_000] == [True, True]
    assert used(stand.admit("r2", requests("a"), tokens("b", 200, seconds=3600), Lease("c", 2))) == (2, 500, 1)


def test_a_request_without_limits_is_admitted(stand: Stand) -> None:
    assert stand.admit("r") == Admission(True, [], [], [])
    stand.finish("r", 5)


def test_a_limit_of_n_admits_n(stand: Stand) -> None:
    assert [stand.admit(f"r{n}", requests("a", limit=3)).admitted for n in range(5)] == [True, True, True, False, False]
    assert peek(stand, "a") == (3,)


@pytest.mark.parametrize(
    "refusing",
    [requests("full", limit=0), tokens("full", 10, limit=9), PLACE],
    ids=["requests", "tokens", "slot"],
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_refusal_by_one_limit_charges_none_of_the_others(stand: Stand, refusing: Lease, first: bool) -> None:
    """See docs/promises.md, Limits."""
    stand.admit("holder", PLACE)
    others = (requests("a"), tokens("b", 10), Lease("c", 1))
    refused = stand.admit("r", *((refusing, *others) if first else (*others, refusing)))
    assert not refused.admitted
    assert (sum(refused.used), sum(refused.reset_ms)) == (0, 0)
    assert peek(stand, "a", "b") == (0, 0)
    assert stand.admit("other", Lease("c", 1)).admitted


def test_a_refusal_shows_what_others_used(stand: Stand) -> None:
    stand.admit("r1", requests("a", limit=1), tokens("b", 400))
    refused = stand.admit("r2", requests("a", limit=1), tokens("b", 400), Lease("c", 1))
    assert (refused.admitted, used(refused)) == (False, (1, 400, 0))
    assert all(0 < reset_ms <= 60_000 for reset_ms in refused.reset_ms)


def test_the_same_request_is_charged_once_and_gets_the_same_verdict(stand: Stand) -> None:
    """A call that timed out may have been done (docs/promises.md, Money)."""
    limits = (requests("a", limit=1), tokens("b", 600), PLACE)
    first = stand.admit("r", *limits)
    stand.advance(5)
    assert stand.admit("r", *limits) == first
    assert peek(stand, "a", "b") == (1, 600)
    stand.finish("r", 100)
    assert peek(stand, "a", "b") == (1, 100)


def test_a_request_that_was_refused_may_try_again(stand: Stand) -> None:
    stand.admit("holder", PLACE)
    assert not stand.admit("r", PLACE).admitted
    stand.finish("holder")
    assert stand.admit("r", PLACE).admitted


def test_tokens_that_were_not_used_come_back(stand: Stand) -> None:
    """Inside the window (docs/promises.md, Limits)."""
    stand.admit("r", requests("a"), tokens("b", 900), tokens("c", 900, seconds=3600))
    stand.finish("r", 150)
    assert peek(stand, "a", "b", "c") == (1, 150, 150)


def test_tokens_do_not_come_back_into_a_later_window(stand: Stand) -> None:
    """After the window: no free credit (docs/promises.md, Limits)."""
    stand.admit("old", tokens("minute", 900), tokens("hour", 900, seconds=3600))
    stand.advance(61)
    stand.admit("new", tokens("minute", 10), tokens("hour", 10, seconds=3600))
    stand.finish("old", 100)
    assert peek(stand, "minute", "hour") == (10, 110)


def test_tokens_do_not_come_back_where_no_window_is(stand: Stand) -> None:
    stand.admit("r", tokens("b", 900), Lease("c", 1), lease_ms=90_000)
    stand.advance(61)
    stand.finish("r", 100)
    assert peek(stand, "b") == (0,)


def test_more_tokens_than_reserved_are_charged(stand: Stand) -> None:
    """See docs/promises.md, Money."""
    stand.admit("r1", tokens("b", 100))
    stand.finish("r1", 1500)
    assert peek(stand, "b") == (1500,)
    assert not stand.admit("r2", tokens("b", 1)).admitted


def test_a_reservation_stays_charged_if_nobody_knows_better(stand: Stand) -> None:
    stand.admit("r", tokens("b", 100))
    stand.finish("r", None)
    assert peek(stand, "b") == (100,)


def test_a_window_begins_with_its_first_request_and_ends_at_its_time(stand: Stand) -> None:
    stand.admit("r1", requests("a", limit=1))
    stand.advance(40)
    refused = stand.admit("r2", requests("a", limit=1))
    assert not refused.admitted
    assert 19_000 < refused.reset_ms[0] <= 20_000
    stand.advance(20)
    assert stand.admit("r2", requests("a", limit=1)).admitted


def test_a_window_that_got_everything_back_still_ends_at_its_time(stand: Stand) -> None:
    stand.admit("r1", tokens("b", 900))
    stand.advance(40)
    stand.finish("r1", 0)
    assert stand.admit("peek", tokens("b", 1, limit=0)) == Admission(False, [0], [0], [])
    assert stand.admit("r2", tokens("b", 1)).reset_ms[0] <= 20_000


def test_to_finish_twice_is_to_finish_once(stand: Stand) -> None:
    stand.admit("r", tokens("b", 900), PLACE)
    for used_tokens in (100, 200, None):
        stand.finish("r", used_tokens)
    assert peek(stand, "b") == (100,)


def test_to_finish_what_is_unknown_does_nothing(stand: Stand) -> None:
    stand.admit("r", tokens("b", 900), PLACE)
    stand.finish("unknown", 100)
    assert peek(stand, "b") == (900,)
    assert not stand.admit("r2", PLACE).admitted


def test_a_copy_of_an_admission_that_comes_after_the_finish_changes_nothing(stand: Stand) -> None:
    """Redis woke up and found both, in any order (docs/promises.md, Stores that fail)."""
    stand.finish("r", None)
    assert not stand.admit("r", requests("a"), PLACE).admitted
    assert peek(stand, "a") == (0,)
    assert stand.admit("other", PLACE).admitted
    stand.advance(60)
    assert stand.admit("r", requests("a")).admitted


def test_a_lease_ends_with_its_time(stand: Stand) -> None:
    """Whoever held it is dead (docs/promises.md, Limits)."""
    stand.admit("dead", PLACE, lease_ms=30_000)
    stand.advance(29)
    assert used(stand.admit("r", PLACE)) == (1,)
    stand.advance(1)
    assert stand.admit("r", PLACE) == Admission(True, [], [], [0])


def test_a_lease_that_ended_is_not_counted_with_those_that_go_on(stand: Stand) -> None:
    lease = Lease("place", 2)
    stand.admit("dead", lease)
    stand.advance(20)
    stand.admit("alive", lease)
    assert not stand.admit("r", lease).admitted
    stand.advance(20)
    assert used(stand.admit("r", lease)) == (1,)


def test_what_was_renewed_can_be_given_back(stand: Stand) -> None:
    stand.admit("r", PLACE)
    stand.advance(20)
    stand.renew({"r": [PLACE]})
    stand.advance(20)
    stand.finish("r")
    assert stand.admit("other", PLACE).admitted


def test_a_renewed_lease_goes_on(stand: Stand) -> None:
    stand.admit("r", requests("a"), PLACE)
    for _ in range(5):
        stand.advance(20)
        assert stand.renew({"r": [PLACE]}) == []
    assert not stand.admit("other", PLACE).admitted
    stand.finish("r")
    assert stand.admit("other", PLACE).admitted


def test_a_lease_that_expired_is_taken_anew_where_there_is_room(stand: Stand) -> None:
    stand.admit("r", PLACE)
    stand.advance(31)
    assert stand.renew({"r": [PLACE]}) == []
    assert not stand.admit("other", PLACE).admitted
    stand.finish("r")
    assert stand.admit("other", PLACE).admitted


def test_a_lease_that_somebody_else_took_is_lost(stand: Stand) -> None:
    """See docs/promises.md, Limits."""
    stand.admit("slept", PLACE)
    stand.admit("awake", Lease("wide", 5))
    stand.advance(31)
    stand.admit("quick", PLACE)
    assert stand.renew({"slept": [PLACE], "awake": [Lease("wide", 5)]}) == ["slept"]
    assert not stand.admit("other", PLACE).admitted
    stand.finish("slept")
    assert not stand.admit("other", PLACE).admitted


def test_a_request_with_two_slots_is_lost_with_either(stand: Stand) -> None:
    both = (PLACE, Lease("wide", 2))
    stand.admit("slept", *both)
    stand.advance(31)
    stand.admit("quick", PLACE)
    assert stand.renew({"slept": both}) == ["slept"]


def test_leases_that_the_store_forgot_are_taken_anew(stand: Stand) -> None:
    """Redis was restarted, empty (docs/promises.md, Stores that fail)."""
    lease = Lease("place", 2)
    for name in ("r1", "r2"):
        stand.admit(name, lease, tokens("b", 100))
    stand.forget()
    assert stand.admit("new", lease).admitted
    assert stand.renew({"r1": [lease], "r2": [lease]}) == ["r2"]
    assert not stand.admit("other", lease).admitted
    stand.finish("r1", 50)
    assert stand.admit("other", lease).admitted


def test_a_renewal_does_not_revive_what_is_finished(stand: Stand) -> None:
    stand.admit("r", PLACE)
    stand.finish("r")
    assert stand.renew({"r": [PLACE]}) == []
    assert stand.admit("other", PLACE).admitted


def test_a_lowered_limit_takes_no_lease_away(stand: Stand) -> None:
    wide, narrow = Lease("place", 3), Lease("place", 1)
    for name in ("r1", "r2", "r3"):
        stand.admit(name, wide)
    assert stand.renew({name: [narrow] for name in ("r1", "r2", "r3")}) == []
    stand.finish("r1")
    assert not stand.admit("r4", narrow).admitted


def test_many_leases_are_renewed_at_once(stand: Stand) -> None:
    lease = Lease("place", 300)
    names = [f"r{n}" for n in range(250)]
    for name in names:
        stand.admit(name, lease)
    stand.advance(20)
    assert stand.renew({name: [lease] for name in names}) == []
    stand.advance(20)
    assert used(stand.admit("r", lease)) == (250,)


def test_a_long_reservation_outlives_the_lease(stand: Stand) -> None:
    stand.admit("r", tokens("b", 900, seconds=3600), PLACE)
    stand.advance(1800)
    stand.finish("r", 100)
    assert peek(stand, "b") == (100,)


AWKWARD = ("a:b", "a/b", "a b", "{a}", "}{", "*", "?", "[a]", "a\nb", "a\r\n", "\0", "ä", "a\u0308", "\U0001f600", "\ud800", "%61")
NAMES = ["", "a", *AWKWARD, "x" * 5000]


def test_no_name_touches_another(stand: Stand) -> None:
    """See docs/promises.md, Limits."""
    for cost, name in enumerate(NAMES, start=1):
        assert stand.admit(name, tokens(name, cost), Lease(name, 1)).admitted, name
    assert peek(stand, *NAMES) == tuple(range(1, len(NAMES) + 1))
    for name in NAMES:
        assert used(stand.admit("peek", Lease(name, 1))) == (1,), name
    assert stand.renew({name: [Lease(name, 1)] for name in NAMES}) == []
    for name in NAMES:
        stand.finish(name, 0)
    assert peek(stand, *NAMES) == (0,) * len(NAMES)
    for number, name in enumerate(NAMES):
        assert stand.admit(f"again {number}", Lease(name, 1)).admitted, name


def test_the_largest_limits_are_exact(stand: Stand) -> None:
    most = 10**15
    assert used(stand.admit("r1", tokens("b", most - 1, limit=most))) == (most - 1,)
    assert not stand.admit("r2", tokens("b", 2, limit=most)).admitted
    assert used(stand.admit("r3", tokens("b", 1, limit=most))) == (most,)
    stand.finish("r1", most - 3)
    assert peek(stand, "b") == (most - 2,)
    stand.finish("r3", 10**14 + 7)
    assert peek(stand, "b") == (most + 10**14 + 4,)
