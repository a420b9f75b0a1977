"""Which tokens of an answer are charged, and at which price (docs/budgets.md)."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest

from completions_mw import Budget, BudgetExceededError, Caller, UpstreamError
from completions_mw.backends.sql.values import MAX_INTEGER
from completions_mw.blocking import run_sync
from completions_mw.core.charging.charge import CHECKPOINT_CHUNKS
from completions_mw.core.costs.tokens import MAX_TOKENS
from tests.core.charging.given import BUDGETED, CALLER, PROMPT, WORD, price
from tests.support.charging import Charging


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
