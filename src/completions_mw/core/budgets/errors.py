"""The error of an exceeded budget, with the headers that OpenAI's SDKs act on (docs/contract.md, Errors)."""

from datetime import UTC, datetime
from typing import Final

from completions_mw.core.budgets.periods import Period, adjective
from completions_mw.core.costs.media import media_hint
from completions_mw.core.costs.prices import usd
from completions_mw.errors import NO_RETRY_HEADERS, BudgetExceededError

_OWNERS: Final = {"key": "this API key", "caller": "this caller", "tenant": "this tenant"}


def budget_exceeded_error(
    scope: str, limit: int, spent: int, reserved: int, asked: int, period: Period, ends: datetime | None, media: int = 0
) -> BudgetExceededError:
    """Return the error for a request that does not fit into a budget; amounts are nano-dollars.

    Args:
        scope: kind of the budget's owner: `key`, `caller` or `tenant`.
        limit: amount of the budget.
        spent: amount that was spent in the period.
        reserved: amount reserved for other requests.
        asked: amount that the refused request may cost.
        period: kind of the budget's period.
        ends: end of the period; None for `total`.
        media: tokens of the images, audio and files of the refused request.
    """
    text = f"Budget limit exceeded: {_OWNERS[scope]} has spent {usd(spent)} of its {usd(limit)} {adjective(period)} budget"
    if spent < limit:
        text += f", {usd(reserved)} is reserved for its other requests" if reserved else ""
        text += f", and this request may cost {usd(asked)}"
    text += "." if ends is None else f". It resets at {ends.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}."
    if spent < limit:
        text += media_hint(media)
    error = BudgetExceededError(text, headers=NO_RETRY_HEADERS)
    error.next_target = False
    return error
