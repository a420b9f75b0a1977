"""What a request may cost at most, and whether that is allowed."""

from decimal import Decimal
from typing import Final, Literal

from completions_mw.core.costs.estimate import TokenEstimate
from completions_mw.core.costs.prices import FREE, ceiling, nano, usd
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.keys.caller import Caller
from completions_mw.errors import InvalidRequestError, PermissionDeniedError, shown_name
from completions_mw.settings import Settings

DEARER_TIERS: Final = {"fast", "priority", "scale"}
"""What providers bill at more than the price that is known."""


class MaxCost:
    """Decides what a request may cost at most, before it is sent.

    Args:
        settings: say what happens to models without a price, and what one request may cost.
    """

    def __init__(self, settings: Settings) -> None:
        self._max_cost = settings.max_cost
        self._unpriced: Literal["deny", "free"] | None = settings.unpriced

    def applies(self, caller: Caller | None) -> bool:
        """Tell whether requests of `caller` may be refused for their price alone."""
        return self._unpriced == "deny" or self._max_cost is not None or (caller is not None and caller.max_cost is not None)

    def amount(self, model: CatalogModel, estimate: TokenEstimate, caller: Caller | None, *, budgeted: bool) -> int:
        """Return the most that a request can cost, in nano-dollars.

        Raises:
            PermissionDeniedError: nobody knows, and that is a reason to refuse it; or the request asks for a dearer tier of service.
            InvalidRequestError: that is more than one request may cost.
        """
        if estimate.service_tier in DEARER_TIERS and model.ceiling != FREE:
            raise unpriced_error(f"{model.name} (service_tier {estimate.service_tier})")
        if not model.is_priced and (self._unpriced == "deny" or (budgeted and self._unpriced is None)):
            raise unpriced_error(model.name)
        asked = ceiling(model.ceiling, estimate.prompt_bound, estimate.completion)
        most = Decimal(caller.max_cost) if caller is not None and caller.max_cost is not None else self._max_cost
        if most is not None and asked > nano(most):
            raise max_cost_exceeded_error(nano(most), asked)
        return asked


def max_cost_exceeded_error(ceiling: int, asked: int) -> InvalidRequestError:
    """Return the error for a request that may cost more than one request may; amounts are nano-dollars."""
    text = f"This request may cost {usd(asked)}, and a single request may cost {usd(ceiling)} at most. "
    return InvalidRequestError(f"{text}Reduce the input or the maximum of output tokens.", code="max_cost_exceeded")


def unpriced_error(model: str) -> PermissionDeniedError:
    """Return the error for a model of which nobody knows what it costs."""
    return PermissionDeniedError(f"The model `{shown_name(model)}` cannot be used because it has no price.", code="model_not_priced")
