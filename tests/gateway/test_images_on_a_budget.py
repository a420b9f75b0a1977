"""Images cost what their sizes say, not what somebody guessed: a budget holds, and so does `max_cost` (docs/budgets.md)."""

from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from completions_mw import Budget, BudgetExceededError, Caller, Gateway, InvalidRequestError, Settings
from tests.core.costs.media.test_image_sizes import png

BILLED = 2833 + 4 * 5667
"""Tokens that OpenAI bills for an image of 1024 by 1024 pixels at gpt-4o-mini."""
PRICE = 150
"""Nano-dollars of a token."""
SMALL = "data:image/png;base64," + b64encode(png(1024, 1024)).decode()


def seen(_: object) -> dict[str, Any]:
    usage = {"prompt_tokens": BILLED, "completion_tokens": 1, "total_tokens": BILLED + 1}
    return {"choices": [{"message": {"role": "assistant", "content": "a cat"}}], "usage": usage}


@pytest.fixture
def gateway() -> Any:
    model = {"prices": {"input": "0.15", "output": "0.15"}, "max_output_tokens": 10}
    tree = {"models": {"gpt-4o-mini": model}, "callers": {"budget": {"usd": "0.05", "period": "total"}}, "stores": {"ledger": "memory://"}}
    with Gateway(Settings.from_mapping(tree), models={"gpt-4o-mini": seen}) as gateway:
        yield gateway


def look(gateway: Gateway, url: str, caller: Caller | str, **image: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url, **image}}
    gateway.complete(model="gpt-4o-mini", messages=[{"role": "user", "content": [part]}], caller=caller)


def test_forty_at_once_spend_no_more_than_the_budget(gateway: Gateway) -> None:
    def served(_: int) -> bool:
        try:
            look(gateway, SMALL, "ann")
        except BudgetExceededError:
            return False
        return True

    with ThreadPoolExecutor(40) as threads:
        count = sum(threads.map(served, range(40)))
    [balance] = gateway.balances("ann", "caller")
    assert balance.spent == count * (BILLED + 1) * PRICE <= balance.limit
    assert 1 <= count <= 13


def test_one_costs_no_more_than_a_request_may(gateway: Gateway) -> None:
    look(gateway, SMALL, Caller("ann", max_cost="0.004"))
    # The image at a URL may be the largest one.
    for caller, url in ((Caller("ann", max_cost="0.003"), SMALL), (Caller("ann", max_cost="0.004"), "https://example.org/a.png")):
        with pytest.raises(InvalidRequestError, match="a single request may cost"):
            look(gateway, url, caller)
    look(gateway, "https://example.org/a.png", Caller("ann", max_cost="0.001"), detail="low")


def test_a_refusal_tells_what_the_images_count_as(gateway: Gateway) -> None:
    """And what an operator sets whose models count otherwise."""
    with pytest.raises(InvalidRequestError, match=rf"count as {BILLED} tokens of it\. The model's settings `image_tokens`"):
        look(gateway, SMALL, Caller("ann", max_cost="0.003"))
    with pytest.raises(BudgetExceededError, match=rf"count as {BILLED} tokens of it\. The model's settings `image_tokens`"):
        look(gateway, SMALL, Caller("bob", budget=Budget(usd="0.003", period="total")))
