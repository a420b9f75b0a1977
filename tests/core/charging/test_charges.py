"""The life of a request's charge: whatever happens, it is settled once, and nothing that it held is left (docs/promises.md, Money)."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from completions_mw import Budget, BudgetExceededError, Caller, GatewayError, Limits, ServiceUnavailableError, UpstreamError
from completions_mw.blocking import run_sync
from completions_mw.core.charging.charge import CHECKPOINT_CHUNKS
from completions_mw.core.ports import StoreError, StoreTimeoutError
from tests.core.charging.given import BUDGETED, CALLER, PROMPT, TENANTS, WORD, a_long_answer, leave, price, three_words
from tests.support.charging import LEASE, Charging, read
from tests.support.failing_calls import FailingCalls


def a_failure(_: object) -> Iterator[object]:
    raise UpstreamError("There is no answer.")
    yield WORD


def a_failure_after_two_words(_: object) -> Iterator[object]:
    yield from [WORD] * 2
    raise UpstreamError("There is no more of it.")


def an_answer_that_breaks_off(_: object) -> Iterator[object]:
    error = UpstreamError("There was an answer, and here are no more than ten bytes of it.")
    error.received = 10
    raise error
    yield WORD


def complete(charging: Charging) -> None:
    charging.complete(CALLER)


def read_all(charging: Charging) -> None:
    read(charging.stream(CALLER))


def leave_at_once(charging: Charging) -> None:
    run_sync(charging.stream(CALLER).aclose())


ENDS: dict[str, tuple[Callable[[Charging], None], Callable[[object], object], int]] = {
    "complete": (complete, three_words, price(PROMPT, 3)),
    "complete-fails": (complete, a_failure, 0),
    "complete-breaks-off": (complete, an_answer_that_breaks_off, price(PROMPT, 3)),
    "stream": (read_all, three_words, price(PROMPT, 3)),
    "long-stream": (read_all, a_long_answer, price(PROMPT, 3 * CHECKPOINT_CHUNKS)),
    "stream-fails-at-once": (read_all, a_failure, 0),
    "stream-fails": (read_all, a_failure_after_two_words, price(PROMPT, 2)),
    "client-leaves": (leave, three_words, price(PROMPT, 1)),
    "client-leaves-at-once": (leave_at_once, three_words, price(PROMPT, 1)),
}
"""How a request ends, the model, and what it costs."""


def check_nothing_left(charging: Charging) -> int:
    """Check that the books agree and nothing is held once the leases have expired; return what was spent."""
    # The next request looks after what others left.
    with suppress(UpstreamError):
        charging.complete(Caller("eve"))
    charging.tick(LEASE + 1)
    charging.tick(LEASE + 1)
    own, tenants = charging.balance(CALLER), charging.balance(CALLER, "tenant")
    assert (own.reserved, tenants.reserved, charging.free_places(CALLER)) == (0, 0, 2)
    usage = charging.usage(CALLER)
    spent = 0 if usage is None else usage.cost_nano
    assert (own.spent, tenants.spent) == (spent, spent)
    assert usage is None or usage.requests == 1
    return spent


@pytest.mark.parametrize(("work", "function", "cost"), ENDS.values(), ids=ENDS)
def test_settled_once(work: Callable[[Charging], None], function: Callable[[object], object], cost: int) -> None:
    charging = Charging(function, tenants=TENANTS)
    with suppress(UpstreamError):
        work(charging)
    assert (charging.faults.names.count("settle"), charging.faults.names.count("finish")) == (1, 1)
    assert (charging.balance(CALLER).reserved, charging.free_places(CALLER)) == (0, 2)
    assert check_nothing_left(charging) == cost


def outcome_of(work: Callable[[Charging], None], charging: Charging) -> BaseException | None:
    try:
        work(charging)
    except BaseException as error:
        # Its frames hold the request.
        return error.with_traceback(None)
    return None


FAULTS: dict[str, tuple[Callable[[], BaseException], bool]] = {
    "error": (lambda: StoreError("down"), False),
    "answer-lost": (lambda: StoreTimeoutError("slow"), True),
    "cancelled": (asyncio.CancelledError, False),
    "cancelled-too-late": (asyncio.CancelledError, True),
    "interrupted": (KeyboardInterrupt, False),
    "killed": (GeneratorExit, True),
}
"""What a call of a store raises, and whether it is carried out all the same."""


@pytest.mark.parametrize("policy", ["local", "closed"])
@pytest.mark.parametrize(("error", "too_late"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(("work", "function", "cost"), ENDS.values(), ids=ENDS)
def test_every_store_call_may_fail(
    work: Callable[[Charging], None],
    function: Callable[[object], object],
    cost: int,
    error: Callable[[], BaseException],
    too_late: bool,
    policy: str,
) -> None:
    """See docs/promises.md, Clients that leave."""
    at, failed = 0, True
    while failed:
        at += 1
        fault = error()
        charging = Charging(function, faults=FailingCalls(at, fault, too_late=too_late), policy=policy, tenants=TENANTS)
        outcome = outcome_of(work, charging)
        failed = charging.faults.failed
        charging.faults.stop()
        assert outcome is None or outcome is fault or isinstance(outcome, ServiceUnavailableError | UpstreamError)
        spent = check_nothing_left(charging)
        if outcome is None or isinstance(outcome, UpstreamError):
            assert spent == cost
        else:
            assert spent <= (cost if outcome is fault else 0)
    assert at > 4


def test_what_is_refused_by_a_budget_holds_no_place() -> None:
    charging = Charging(three_words)
    poor = Caller("ada", limits=Limits(tokens="1000/hour", concurrency=2), budget=Budget(usd=Decimal("0.01"), period="total"))
    for _ in range(3):
        with pytest.raises(BudgetExceededError):
            charging.complete(poor, max_tokens=900)
    assert charging.free_places(poor) == 2
    assert charging.usage(poor) is None
    assert charging.faults.names.count("settle") == 0


def test_without_limits_budget_or_ledger_nothing_is_asked() -> None:
    charging = Charging(three_words)
    charging.complete(Caller("ada"))
    assert charging.faults.names == []
    assert charging.background.kept == [(1.0, charging.maintenance.tick)]


def test_rows_of_requests_without_a_budget_are_written_together_behind_their_answers() -> None:
    charging = Charging(three_words)
    for _ in range(5):
        charging.complete(Caller("ada"))
    charging.tick()
    assert charging.faults.names.count("record") == 1
    assert "settle" not in charging.faults.names
    usage = charging.usage(Caller("ada"))
    assert usage is not None
    assert usage.requests == 5


def test_a_server_that_stops_leaves_no_row_and_no_request_that_holds_anything() -> None:
    charging = Charging(three_words)
    charging.complete(Caller("ada"))
    stream = charging.stream(BUDGETED)
    (stopping,) = charging.background.stopping
    run_sync(stopping.begin())
    assert charging.faults.names.count("record") == 1
    charging.complete(Caller("ada"))
    # With its answer: there may be no later.
    assert charging.faults.names.count("record") == 2
    assert charging.background.cancelled == 0
    run_sync(stopping.cut())
    assert charging.background.cancelled == 1
    run_sync(stream.aclose())
    run_sync(stopping.cut())
    assert charging.background.cancelled == 1


def test_a_request_that_only_counts_itself_is_finished_by_itself() -> None:
    """One round trip less: a request is not given back."""
    charging = Charging(three_words)
    charging.complete(Caller("ada", limits=Limits(requests="10/hour")))
    assert charging.faults.names == ["admit"]


def test_a_stream_that_lost_its_place_ends() -> None:
    """The worker slept for longer than its lease, and others have taken the place (docs/promises.md, Limits)."""
    charging = Charging(a_long_answer)
    stream = charging.stream(CALLER)
    run_sync(stream.__anext__())
    charging.time.advance(LEASE + 1)
    others = [charging.stream(CALLER), charging.stream(CALLER)]
    charging.tick(0)
    with pytest.raises(ServiceUnavailableError) as caught:
        read(stream)
    assert (caught.value.code, caught.value.status) == ("lease_lost", 503)
    assert charging.free_places(CALLER) == 0
    for other in others:
        read(other)
    assert charging.free_places(CALLER) == 2
    usage = charging.usage(CALLER)
    assert usage is not None
    assert (usage.requests, usage.estimated) == (3, 1)
    assert charging.balance(CALLER)[4:] == (usage.cost_nano, 0)


def test_a_lost_place_ends_a_stream_at_its_next_chunk() -> None:
    charging = Charging(a_long_answer)
    stream = charging.stream(CALLER)
    charging.time.advance(LEASE + 1)
    others = [charging.stream(CALLER) for _ in range(2)]
    charging.tick(0)
    with pytest.raises(ServiceUnavailableError):
        run_sync(stream.__anext__())
    for other in others:
        run_sync(other.aclose())


def test_the_period_of_the_reservation_is_charged() -> None:
    """It began in November, and ends in December (docs/promises.md, Money)."""
    charging = Charging(three_words)
    charging.time.now = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp()
    monthly = Caller("ada", budget=Budget(usd=Decimal("1"), period="month"))
    stream = charging.stream(monthly)
    charging.time.advance(2)
    read(stream)
    [november] = run_sync(charging.books.balances("caller", "ada"))
    assert (november.period, november.spent, november.reserved) == ("2026-11", price(PROMPT, 3), 0)
    charging.complete(monthly)
    periods = {balance.period: balance.spent for balance in run_sync(charging.books.balances("caller", "ada"))}
    assert periods == {"2026-11": price(PROMPT, 3), "2026-12": price(PROMPT, 3)}


def test_a_budget_that_is_lowered_or_raised_holds_for_the_next_request() -> None:
    """What runs goes on (docs/promises.md, Money)."""
    charging = Charging(three_words)
    poorer, richer = (Caller("ada", budget=Budget(usd=Decimal(usd), period="total")) for usd in ("0.001", "5"))
    stream = charging.stream(BUDGETED)
    with pytest.raises(BudgetExceededError):
        charging.complete(poorer)
    read(stream)
    charging.complete(richer)
    assert charging.balance(BUDGETED)[3:] == (5 * 10**9, 2 * price(PROMPT, 3), 0)


def test_errors_are_the_gateways_own() -> None:
    charging = Charging(three_words, faults=FailingCalls(1, StoreError("down")))
    with pytest.raises(GatewayError) as caught:
        charging.complete(BUDGETED)
    assert caught.value.code == "budget_unavailable"
    charging.complete(BUDGETED)
    assert charging.balance(BUDGETED)[4:] == (price(PROMPT, 3), 0)
