"""The tokens of answers that nobody waited for (docs/promises.md, Money)."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from completions_mw import Budget, Caller, ChatRequest, GatewayError, UpstreamTimeoutError
from completions_mw.blocking import run_sync
from completions_mw.core.charging.pace import DEFAULT_TOKENS_PER_SECOND, Pace
from completions_mw.core.charging.used import FIRST_TOKEN_SECONDS, UsedTokens
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.ports import Tokens
from completions_mw.errors import ClientDisconnectedError, RequestTimeoutError, UpstreamError
from tests.support.charging import Charging
from tests.support.fake_clock import FakeClock

ESTIMATE = TokenEstimate(prompt=9, prompt_bound=36, completion=400, per_choice=400, client_set_max=True)
PACE = int(DEFAULT_TOKENS_PER_SECOND)
CALLER = Caller("ada", budget=Budget(usd=Decimal("100"), period="total"))


def late(*, billed: bool) -> UpstreamTimeoutError:
    error = UpstreamTimeoutError("late")
    error.maybe_billed = billed
    return error


def cut(received: int, error: GatewayError) -> GatewayError:
    error.received = received
    return error


def asked(seconds: float, *, heard: float | None = None, estimated: bool = False) -> RequestContext:
    """Return the context of a request whose target was asked so many seconds ago, and heard of after some of them."""
    clock = FakeClock()
    context = RequestContext(clock.clock())
    context.ask("up/m")
    clock.advance(seconds)
    context.heard, context.estimated = heard, estimated
    return context


def visible(tokens: int) -> dict[str, Any]:
    return {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}


@pytest.mark.parametrize("error", [ClientDisconnectedError(), RequestTimeoutError("slow"), asyncio.CancelledError(), late(billed=True)])
def test_what_nobody_saw_is_charged_by_its_time(error: BaseException) -> None:
    assert UsedTokens("estimate").of(asked(2), ESTIMATE, None, error) == (Tokens(9, 2 * PACE), True)
    assert UsedTokens("estimate").of(asked(60), ESTIMATE, None, error) == (Tokens(9, ESTIMATE.completion), True)


@pytest.mark.parametrize("error", [UpstreamError("broken"), late(billed=False), ValueError()])
def test_failures_that_nobody_bills_are_free(error: Exception) -> None:
    for policy in ("estimate", "finish", "reserved"):
        assert UsedTokens(policy).of(asked(2), ESTIMATE, None, error) == (Tokens(), False)


def test_before_any_target_is_asked_leaving_is_free() -> None:
    context = RequestContext(FakeClock().clock())
    assert UsedTokens("reserved").of(context, ESTIMATE, None, ClientDisconnectedError()) == (Tokens(), False)


def test_the_cut_answer_to_an_identical_request_is_charged_to_that_one() -> None:
    context = RequestContext(FakeClock().clock())
    assert UsedTokens("estimate").of(context, ESTIMATE, None, cut(100, UpstreamError("cut"))) == (Tokens(), False)


def test_a_person_who_stops_a_stream_pays_what_was_written() -> None:
    """The first second is for the prompt; of a longer silence a model has thought."""
    used, left = UsedTokens("estimate"), ClientDisconnectedError()
    assert used.of(asked(60, heard=0.5, estimated=True), ESTIMATE, visible(5), left) == (Tokens(9, 5), True)
    thought = FIRST_TOKEN_SECONDS + 2
    assert used.of(asked(60, heard=thought, estimated=True), ESTIMATE, visible(5), left) == (Tokens(9, 5 + 2 * PACE), True)
    assert used.of(asked(60, heard=59, estimated=True), ESTIMATE, visible(5), left) == (Tokens(9, ESTIMATE.completion), True)


def test_a_failure_in_the_middle_is_charged_what_was_written() -> None:
    context = asked(60, heard=30, estimated=True)
    assert UsedTokens("reserved").of(context, ESTIMATE, visible(5), UpstreamError("broken")) == (Tokens(9, 5), True)


def test_what_has_come_of_a_whole_answer_counts_if_it_is_more() -> None:
    used = UsedTokens("estimate")
    assert used.of(asked(1), ESTIMATE, None, cut(4 * 300, late(billed=True))) == (Tokens(9, 300), True)
    assert used.of(asked(2), ESTIMATE, None, cut(4, late(billed=True))) == (Tokens(9, 2 * PACE), True)
    assert used.of(asked(2), ESTIMATE, None, cut(4, UpstreamError("broken"))) == (Tokens(9, 1), True)


def test_all_that_was_reserved() -> None:
    used = UsedTokens("reserved")
    assert used.of(asked(0.1), ESTIMATE, None, ClientDisconnectedError()) == (Tokens(36, 400), True)
    assert used.of(asked(0.1, heard=0, estimated=True), ESTIMATE, visible(5), ClientDisconnectedError()) == (Tokens(36, 400), True)
    # Usage that is known is charged, whatever the setting.
    assert used.of(asked(0.1), ESTIMATE, visible(5), ClientDisconnectedError()) == (Tokens(3, 5), False)


def test_the_pace_of_a_target_is_that_of_its_answers() -> None:
    used = UsedTokens("estimate")
    for _ in range(20):
        used.of(asked(10), ESTIMATE, visible(400), None)
    tokens, _ = used.of(asked(5), ESTIMATE, None, ClientDisconnectedError())
    assert 190 <= tokens.completion <= 230


def test_short_answers_say_little_of_the_pace() -> None:
    """Most of their time passes before their first token."""
    pace = Pace()
    for _ in range(10):
        pace.learn("up/m", 5, 1.0)
    pace.learn("up/m", 2000, 40.0)
    assert 45 < pace.of("up/m") < 55
    assert pace.of("up/other") == DEFAULT_TOKENS_PER_SECOND
    pace.learn("up/m", 0, 0.0)


def slow(seconds: float) -> tuple[Callable[[object], Iterator[object]], Callable[[Charging], None]]:
    """Return a model that takes its time before its first word, and what gives it a clock."""
    clocks: list[FakeClock] = []

    def model(_: object) -> Iterator[object]:
        clocks[0].advance(seconds)
        yield from ["word"] * 10

    return model, lambda charging: clocks.append(charging.time)


def test_the_silence_before_a_stream_is_measured() -> None:
    model, give_clock = slow(FIRST_TOKEN_SECONDS + 0.5)
    charging = Charging(model)
    give_clock(charging)
    stream = charging.stream(CALLER)
    run_sync(stream.__anext__())
    run_sync(stream.aclose())
    row = charging.usage(CALLER)
    assert row is not None
    assert (row.completion_tokens, row.estimated) == (1 + PACE // 2, 1)


@pytest.mark.parametrize("written", [0.0, 1.0], ids=["into buffers", "as it is read"])
def test_a_reader_who_takes_its_time_says_nothing_of_the_pace(written: float) -> None:
    """Else one answer that is read slowly would make it cheap to leave all others, or dear for everybody."""
    clocks: list[FakeClock] = []

    def model(request: ChatRequest) -> Iterator[Any]:
        clocks[0].advance(FIRST_TOKEN_SECONDS + 0.5)
        yield "word"
        for _ in range(18 if request.seed else 0):
            clocks[0].advance(written)
            yield "word"
        yield {"usage": visible(20 * PACE)}

    charging = Charging(model)
    clocks.append(charging.time)
    stream = charging.stream(CALLER, seed=1)
    with suppress(StopAsyncIteration):
        while True:
            run_sync(stream.__anext__())
            charging.time.advance(20)
    run_sync(stream.aclose())
    other = charging.stream(CALLER)
    run_sync(other.__anext__())
    run_sync(other.aclose())
    row = charging.usage(CALLER)
    assert row is not None
    assert row.completion_tokens == 20 * PACE + 1 + PACE // 2


def test_a_stream_that_nobody_takes_ends_and_is_charged() -> None:
    charging = Charging(lambda _: iter(["word"] * 10), send_timeout=5)
    stream = charging.stream(CALLER)
    run_sync(stream.__anext__())
    # A direct call has no client who holds a connection, and may take its time.
    charging.tick(599)
    assert charging.balance(CALLER).reserved > 0
    charging.tick(1)
    assert charging.balance(CALLER).reserved == 0
    with pytest.raises(UpstreamTimeoutError):
        run_sync(stream.__anext__())
    row = charging.usage(CALLER)
    assert row is not None
    assert (row.requests, row.estimated) == (1, 1)
