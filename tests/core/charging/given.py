"""What the tests of charges have in common: a caller, what tokens cost, and models."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from completions_mw import Budget, Caller, Limits
from completions_mw.blocking import run_sync
from completions_mw.core.charging.charge import CHECKPOINT_CHUNKS
from tests.support.charging import Charging

WORD = "say "
"""A token, by our estimate."""
PROMPT = 9
"""Tokens of the prompt, as estimated, and as the models say that report any."""
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


def leave(charging: Charging) -> None:
    stream = charging.stream(CALLER)
    run_sync(stream.__anext__())
    run_sync(stream.aclose())
