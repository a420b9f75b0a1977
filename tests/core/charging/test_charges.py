"""The life of a request's charge: whatever happens, it is settled once, and nothing that it held is left (docs/promises.md, Money)."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from completions_mw import Budget, BudgetExceededError, Caller, GatewayError, Limits, ServiceUnavailableError, UpstreamError
from completions_mw.backends.sql.values import MAX_INTEGER
from completions_mw.blocking import run_sync
from completions_mw.core.charging.charge import CHECKPOINT_CHUNKS
from completions_mw.core.charging.pace import DEFAULT_TOKENS_PER_SECOND
from completions_mw.core.context import LostAttempt
from completions_mw.core.costs.tokens import MAX_TOKENS
from completions_mw.core.ports import StoreError, StoreTimeoutError, Tokens
from completions_mw.core.streaming.body import ChunkSource
from completions_mw.core.telemetry.observer import Observer
from completions_mw.sse import DONE
from tests.support.charging import LEASE, Charging, read
from tests.support.failing_calls import FailingCalls
from tests.support.fake_clock import FakeClock

WORD = "say "
"""A token, by our estimate."""
PROMPT = 9
"""Tokens of the prompt, as estimated, and as the models say that report any."""
"""Estimated tokens of the prompt, and what the functions report."""
CALLER = Caller(
    "ada",
    tenant="acme",
    limits=Limits(requests="1000/hour", tokens="1000000/hour", concurrency=2),
    budget=Budget(usd=Decimal("1"), period="total"),
)
BUDGETED = Caller("ada", tenant="acme", budget=Budget(usd=Decimal("10"), period="total"))
TENANTS = {"acme": {"budget": {"usd": "100", "period": "month"}, "limits": {"tokens": "1000000/hour"}}}


def price(prompt: int, completion: int) -> int:
    return prompt * 1_000_000 + completion * 2_000_000


def reported(words: int) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": PROMPT, "completion_tokens": words, "total_tokens": PROMPT + words}}


def three_words(_: object) -> Iterator[object]:
    yield from [WORD] * 3
    yield reported(3)


def a_long_answer(_: object) -> Iterator[object]:
    yield from [WORD] * 3 * CHECKPOINT_CHUNKS
    yield reported(3 * CHECKPOINT_CHUNKS)


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


def leave(charging: Charging) -> None:
    stream = charging.stream(CALLER)
    run_sync(stream.__anext__())
    run_sync(stream.aclose())


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


def test_what_a_client_has_a_checkpoint_has_but_for_64_chunks() -> None:
    charging = Charging(a_long_answer)
    stream = charging.stream(BUDGETED)
    words = 0
    for batch in batches(stream):
        words += sum(bool(event.data["choices"][0]["delta"].get("content")) for event in batch)
        noted = charging.faults.of("checkpoint")
        covered = noted[-1][2].completion if noted else 0
        assert words - covered <= CHECKPOINT_CHUNKS
    assert [tokens.prompt for _, _, tokens in charging.faults.of("checkpoint")] == [PROMPT] * 3


def test_a_checkpoint_is_made_before_its_chunks_are_given_away() -> None:
    charging = Charging(a_long_answer, faults=FailingCalls(2, KeyboardInterrupt()))
    given = iter(range(10_000))
    with pytest.raises(KeyboardInterrupt):
        deque(zip(given, batches(charging.stream(BUDGETED)), strict=False))
    assert charging.faults.names[:2] == ["reserve", "checkpoint"]
    assert next(given) <= CHECKPOINT_CHUNKS


def batches(stream: ChunkSource) -> Iterator[list[Any]]:
    """Give what comes of a stream, without the end."""
    with suppress(StopAsyncIteration):
        while True:
            yield [event for event in run_sync(stream.__anext__()) if event is not DONE]
    run_sync(stream.aclose())


def slow_words(time: FakeClock, seconds: float) -> Callable[[object], Iterator[str]]:
    def answer(_: object) -> Iterator[str]:
        for _ in range(20):
            time.advance(seconds)
            yield WORD

    return answer


@pytest.mark.parametrize(("seconds", "checkpoints"), [(0.3, 5), (1.0, 20), (5.0, 20), (0.01, 0)])
def test_a_checkpoint_is_made_every_second(seconds: float, checkpoints: int) -> None:
    holder: list[Charging] = []
    charging = Charging(lambda request: slow_words(holder[0].time, seconds)(request))
    holder.append(charging)
    read(charging.stream(BUDGETED))
    assert len(charging.faults.of("checkpoint")) == checkpoints


def test_what_was_given_away_before_a_silence_is_noted_within_a_second() -> None:
    charging = Charging(a_long_answer)
    stream = charging.stream(BUDGETED)
    for _ in range(5):
        run_sync(stream.__anext__())
    assert not charging.faults.of("checkpoint")
    charging.tick()
    charging.tick()
    ((_, amount, tokens),) = charging.faults.of("checkpoint")
    assert tokens.completion >= 4
    assert amount == price(tokens.prompt, tokens.completion)
    run_sync(stream.aclose())


class LosesAnAttempt(Observer):
    """Lets an attempt before the one that answers have taken half a second, and be billed."""

    observes_steps = True

    def completed(self, step: str, request: Any) -> None:
        if step == "dispatch":
            request.lost = (LostAttempt("python/m", 0.5, None),)


def test_a_checkpoint_counts_the_attempts_before_the_one_that_answers() -> None:
    charging = Charging(a_long_answer, observer=LosesAnAttempt())
    stream = charging.stream(BUDGETED)
    run_sync(stream.__anext__())
    charging.tick()
    charging.tick()
    ((_, amount, tokens),) = charging.faults.of("checkpoint")
    assert (tokens.prompt, tokens.completion) == (2 * PROMPT, 1 + int(0.5 * DEFAULT_TOKENS_PER_SECOND))
    assert amount == price(tokens.prompt, tokens.completion)
    run_sync(stream.aclose())


def test_a_worker_that_dies_before_its_model_says_anything_has_used_the_prompt() -> None:
    holder: list[Charging] = []

    def thinks(_: object) -> str:
        holder[0].tick()
        holder[0].tick()
        raise KeyboardInterrupt

    charging = Charging(thinks)
    holder.append(charging)
    with pytest.raises(KeyboardInterrupt):
        charging.complete(BUDGETED)
    ((_, amount, tokens),) = charging.faults.of("checkpoint")
    assert (tokens.completion, amount) == (0, price(tokens.prompt, 0))
    assert tokens.prompt > 0


def test_what_a_dead_worker_left_is_posted_at_its_checkpoint() -> None:
    """As after `kill -9`: nobody settles, nobody renews."""
    charging = Charging(a_long_answer)
    stream = charging.stream(BUDGETED)
    for _ in range(CHECKPOINT_CHUNKS + 1):
        run_sync(stream.__anext__())
    del stream
    noted = charging.faults.of("checkpoint")[-1]
    assert charging.balance(BUDGETED).reserved > 0
    charging.tick(LEASE + 1)
    assert charging.balance(BUDGETED)[4:] == (noted[1], 0)
    assert noted[1] == price(*noted[2][:2])


@pytest.mark.parametrize("prompt", [0, 40], ids=["nothing", "the prompt"])
def test_usage_that_is_reported_at_first_hides_nothing_of_what_comes_after(prompt: int) -> None:
    """The client has 400 chunks, and leaves (docs/promises.md, Money)."""

    def reports_at_first(_: object) -> Iterator[object]:
        yield {"usage": {"prompt_tokens": prompt, "completion_tokens": 0, "total_tokens": prompt}}
        yield from [WORD] * 1000

    charging = Charging(reports_at_first)
    stream = charging.stream(BUDGETED)
    words = sum(bool(event.data["choices"][0]["delta"].get("content")) for _ in range(400) for event in run_sync(stream.__anext__()))
    [*_, (_, amount, noted)] = charging.faults.of("checkpoint")
    assert words - noted.completion <= CHECKPOINT_CHUNKS
    assert amount == price(*noted[:2])
    run_sync(stream.aclose())
    usage = charging.usage(BUDGETED)
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (max(PROMPT, prompt), words, 1)
    assert charging.balance(BUDGETED)[4:] == (price(max(PROMPT, prompt), words), 0)


@pytest.mark.parametrize("prompt", [0, 40], ids=["nothing", "the prompt"])
def test_usage_without_the_answer_is_raised_to_an_estimate(prompt: int) -> None:
    """A whole answer of 400 words beside a usage that counts none of them (docs/promises.md, Money)."""

    def reports_no_answer(_: object) -> dict[str, object]:
        usage = {"prompt_tokens": prompt, "completion_tokens": 0, "total_tokens": prompt}
        return {"choices": [{"message": {"role": "assistant", "content": WORD * 400}}], "usage": usage}

    charging = Charging(reports_no_answer)
    answered = charging.complete(BUDGETED).data["usage"]
    usage = charging.usage(BUDGETED)
    assert usage is not None
    words = -(-len(WORD) * 400 // 4)
    assert answered["completion_tokens"] == words
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (max(PROMPT, prompt), words, 1)


def test_a_late_settlement_corrects_what_was_reaped() -> None:
    """The worker was only asleep: its reservation expired, and it goes on."""
    charging = Charging(three_words)
    stream = charging.stream(BUDGETED)
    charging.time.advance(LEASE + 1)
    assert run_sync(charging.books.reap()) == 1
    assert charging.balance(BUDGETED)[4:] == (0, 0)
    read(stream)
    assert charging.balance(BUDGETED)[4:] == (price(PROMPT, 3), 0)


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


def test_a_client_that_leaves_while_the_upstream_works_pays_the_prompt() -> None:
    def cancelled(_: object) -> str:
        raise asyncio.CancelledError

    charging = Charging(cancelled)
    with pytest.raises(asyncio.CancelledError):
        charging.complete(BUDGETED)
    usage = charging.usage(BUDGETED)
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (9, 0, 1)
    assert charging.balance(BUDGETED)[4:] == (price(9, 0), 0)


@pytest.mark.parametrize(("received", "completion"), [(0, 0), (9, 3), (10**9, 100)], ids=["nothing", "a little", "too much"])
def test_an_answer_that_was_begun_and_is_lost_is_charged_by_an_estimate(received: int, completion: int) -> None:
    """As far as it came, and never with more than was reserved: most of a body may be no text."""

    def too_large(_: object) -> str:
        error = UpstreamError("The answer is too large.")
        error.received = received
        raise error

    charging = Charging(too_large)
    with pytest.raises(UpstreamError):
        charging.complete(CALLER)
    usage = charging.usage(CALLER)
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (PROMPT, completion, 1)
    assert charging.balance(CALLER)[4:] == (price(PROMPT, completion), 0)
    [(_, counted)] = charging.faults.of("finish")
    assert counted == PROMPT + completion


@pytest.mark.parametrize("reason", ["stop", "length", "MAX_TOKENS", "sk-canary-upstream-key", "x" * 65, "a b"])
def test_the_ledger_has_one_of_the_reasons_of_openai(reason: str) -> None:
    """An upstream may repeat its key anywhere (docs/promises.md, Secrets)."""
    choice = {"message": {"role": "assistant", "content": WORD}, "finish_reason": reason}
    charging = Charging(lambda _: {"choices": [choice]})
    charging.complete(BUDGETED)
    [(_, outcome, _)] = charging.faults.of("settle")
    assert outcome.finish_reason == ("length" if reason in ("length", "MAX_TOKENS") else "stop")


def test_details_of_usage_have_prices_of_their_own() -> None:
    def answer(_: object) -> Iterator[object]:
        yield WORD
        details = {"prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 30}}
        yield {"usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, **details}}

    prices = {"input": "1000", "output": "2000", "cached_input": "100", "reasoning": "5000"}
    charging = Charging(answer, models={"m": {"prices": prices}})
    charging.complete(Caller("ada"))
    usage = charging.usage(Caller("ada"))
    assert usage is not None
    assert (usage.cached_tokens, usage.reasoning_tokens) == (60, 30)
    assert usage.cost_nano == 40 * 1_000_000 + 60 * 100_000 + 20 * 2_000_000 + 30 * 5_000_000


def test_the_largest_usage_at_the_highest_price_can_be_kept_and_summed() -> None:
    """A database can sum eight million of them; what they cost is kept as far as 64 bits go (docs/promises.md, Money)."""
    most = MAX_TOKENS - 1

    def bills_too_much(_: object) -> Iterator[object]:
        yield WORD
        yield {"usage": {"prompt_tokens": most, "completion_tokens": 0, "total_tokens": most}}

    charging = Charging(bills_too_much, models={"m": {"prices": {"input": "1000000", "output": "1000000"}}})
    rich = Caller("ada", budget=Budget(usd=Decimal(10**9), period="total"))
    for caller in (rich, Caller("ada"), Caller("ada")):
        charging.complete(caller)
    usage = charging.usage(rich)
    assert usage is not None
    assert (usage.prompt_tokens, usage.cost_nano) == (3 * most, 3 * MAX_INTEGER)
    assert charging.balance(rich)[4:] == (MAX_INTEGER, 0)
    assert most * 8_000_000 < MAX_INTEGER
    with pytest.raises(BudgetExceededError):
        charging.complete(rich)


def test_a_checkpoint_never_says_more_than_the_tokens_cost() -> None:
    charging = Charging(a_long_answer)
    read(charging.stream(BUDGETED))
    for _, amount, tokens in charging.faults.of("checkpoint"):
        assert isinstance(tokens, Tokens)
        assert amount == price(tokens.prompt, tokens.completion)


def test_errors_are_the_gateways_own() -> None:
    charging = Charging(three_words, faults=FailingCalls(1, StoreError("down")))
    with pytest.raises(GatewayError) as caught:
        charging.complete(BUDGETED)
    assert caught.value.code == "budget_unavailable"
    charging.complete(BUDGETED)
    assert charging.balance(BUDGETED)[4:] == (price(PROMPT, 3), 0)
