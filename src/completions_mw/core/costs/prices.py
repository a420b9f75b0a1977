"""The cost of tokens, in integer nano-dollars: a float cannot hold a tenth of a cent (docs/promises.md, Money)."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

from completions_mw.core.costs.tokens import MAX_TOKENS
from completions_mw.core.ports import Tokens
from completions_mw.settings.models import Prices

NANO: Final = 10**9
"""Number of nano-dollars in a dollar."""
_MILLION: Final = 10**6


class Price(NamedTuple):
    """Nano-dollars per million tokens of each kind."""

    input: int
    output: int
    cached_input: int
    reasoning: int
    cache_write: int


FREE: Final = Price(0, 0, 0, 0, 0)


@lru_cache(4096)
def nano(usd: Decimal) -> int:
    """Return dollars as nano-dollars, rounded up to a whole one."""
    return int((usd * NANO).to_integral_value(ROUND_CEILING))


def price_of(prices: Prices) -> Price:
    """Return the price of a model from its settings. What has no price of its own costs as input, and reasoning as output."""
    cached = prices.input if prices.cached_input is None else prices.cached_input
    output = prices.output or Decimal(0)
    reasoning = output if prices.reasoning is None else prices.reasoning
    written = prices.input if prices.cache_write is None else prices.cache_write
    return Price(nano(prices.input), nano(output), nano(cached), nano(reasoning), nano(written))


def cost(price: Price, tokens: Tokens) -> int:
    """Return the cost of `tokens` in nano-dollars: computed exactly and rounded up once."""
    plain_input = tokens.prompt - tokens.cached - tokens.cache_write
    plain_output = tokens.completion - tokens.reasoning
    total = plain_input * price.input + tokens.cached * price.cached_input + tokens.cache_write * price.cache_write
    return -(-(total + plain_output * price.output + tokens.reasoning * price.reasoning) // _MILLION)


def ceiling(price: Price, prompt: int, completion: int) -> int:
    """Return the maximum cost of token counts in nano-dollars, whichever tokens turn out to be of which kind."""
    total = prompt * max(price.input, price.cached_input, price.cache_write) + completion * max(price.output, price.reasoning)
    return -(-total // _MILLION)


def tokens_of(usage: Mapping[str, Any]) -> Tokens:
    """Return the tokens of a `usage` object that `tokens.is_usage` accepts; implausible details are ignored (docs/promises.md, Money)."""
    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
    if completion < usage["total_tokens"] - prompt:
        # Gemini and others bill reasoning as completion and count it only in the total.
        completion = usage["total_tokens"] - prompt
    cached = written = reasoning = 0
    if isinstance(details := usage.get("prompt_tokens_details"), dict):
        cached = _part(count, prompt) if (count := details.get("cached_tokens")) else 0
        written = _part(count, prompt - cached) if (count := details.get("cache_write_tokens")) else 0
    if isinstance(details := usage.get("completion_tokens_details"), dict):
        reasoning = _part(count, completion) if (count := details.get("reasoning_tokens")) else 0
    return Tokens(prompt, completion, cached, reasoning, written)


def usd(amount: int) -> str:
    """Return nano-dollars as text: `$10.00`, with more digits only where needed to be exact, as in `$0.0005`."""
    whole, rest = divmod(abs(amount), NANO)
    fraction = f"{rest:09}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}${whole}.{fraction}"


def _part(count: object, whole: int) -> int:
    # JSON's `true` is an `int` in Python, and not a count.
    return min(count, whole) if type(count) is int and 0 <= count < MAX_TOKENS else 0
