"""The maximum cost of a request, and whether it is allowed."""

from decimal import Decimal
from typing import Final, Literal

from completions_mw.core.costs.media import media_hint
from completions_mw.core.costs.prices import FREE, ceiling, nano, usd
from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.keys.caller import Caller
from completions_mw.errors import InvalidRequestError, PermissionDeniedError, shown_name
from completions_mw.settings import Settings

DEARER_TIERS: Final = {"fast", "priority", "scale"}
"""Service tiers that providers bill at more than the known price."""


class MaxCost:
    """Computes the maximum cost of a request before it is sent, and refuses requests that may cost too much.

    Args:
        settings: treatment of models without a price, and the default maximum cost of a request.
    """

    def __init__(self, settings: Settings) -> None:
        self._max_cost = settings.max_cost
        self._unpriced: Literal["deny", "free"] | None = settings.unpriced

    def applies(self, caller: Caller | None) -> bool:
        """Return whether requests of a caller may be refused for their price, even without a budget."""
        return self._unpriced == "deny" or self._max_cost is not None or (caller is not None and caller.max_cost is not None)

    def amount(self, model: CatalogModel, estimate: TokenEstimate, caller: Caller | None, *, budgeted: bool) -> int:
        """Return the maximum cost of a request in nano-dollars.

        Args:
            model: model that the client asked for.
            estimate: tokens that the request may use.
            caller: the caller; None for the host app itself.
            budgeted: whether the request is charged to a budget.

        Raises:
            PermissionDeniedError: the price is not known, and the settings refuse such requests, or the service tier has a higher price.
            InvalidRequestError: the request may cost more than the maximum of one request.
        """
        if estimate.service_tier in DEARER_TIERS and model.ceiling != FREE:
            raise unpriced_error(f"{model.name} (service_tier {estimate.service_tier})")
        if not model.is_priced and (self._unpriced == "deny" or (budgeted and self._unpriced is None)):
            raise unpriced_error(model.name)
        amount = ceiling(model.ceiling, estimate.prompt_bound, estimate.completion) * model.route.answers
        limit = Decimal(caller.max_cost) if caller is not None and caller.max_cost is not None else self._max_cost
        if limit is not None and amount > nano(limit):
            raise max_cost_exceeded_error(nano(limit), amount, estimate.media_bound)
        return amount


def max_cost_exceeded_error(limit: int, amount: int, media: int = 0) -> InvalidRequestError:
    """Return the error for a request that may cost more than a single request may.

    Args:
        limit: what one request may cost, in nano-dollars.
        amount: what this one may cost, in nano-dollars.
        media: tokens of its images, audio and files.
    """
    text = f"This request may cost {usd(amount)}, and a single request may cost {usd(limit)} at most. "
    text += f"Reduce the input or the maximum of output tokens.{media_hint(media)}"
    return InvalidRequestError(text, code="max_cost_exceeded")


def unpriced_error(model: str) -> PermissionDeniedError:
    """Return the error for a model without a known price."""
    return PermissionDeniedError(f"The model `{shown_name(model)}` cannot be used because it has no price.", code="model_not_priced")
