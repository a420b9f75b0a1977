"""Rate limits and budgets of keys, tenants, callers and models."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.rates import Rate, Rates
from completions_mw.settings.types import Amount, Count


class Limits(SettingsModel):
    """Rate limits on requests and tokens, any number of each in the syntax of the `limits` package, and a limit on concurrent requests."""

    requests: Rates = ()
    tokens: Rates = ()
    """Rates of tokens, those of prompts and answers together."""
    concurrency: Count | None = None
    """Number of requests at the same time."""

    if TYPE_CHECKING:
        # For type checkers of code that builds limits: pydantic converts these types to those of the fields.
        def __init__(
            self, *, requests: str | Sequence[str | Rate] = (), tokens: str | Sequence[str | Rate] = (), concurrency: int | None = None
        ) -> None: ...


class Budget(SettingsModel):
    """USD that may be spent in each calendar period, in UTC. Weeks start on Monday; `total` is a single period without end."""

    usd: Amount
    period: Literal["hour", "day", "week", "month", "total"]

    if TYPE_CHECKING:

        def __init__(self, *, usd: Decimal | str | float, period: Literal["hour", "day", "week", "month", "total"]) -> None: ...


class Allowance(SettingsModel):
    """Rate limits and a budget: of a tenant, or of each caller that the `authenticate` function names."""

    limits: Limits = Field(default_factory=Limits)
    budget: Budget | None = None
