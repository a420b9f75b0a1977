"""What somebody may use: rate limits and budgets."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.types import Amount, Count, Rate, Rates


class Limits(SettingsModel):
    """How often, how much and how many at once; any number of rates, in the syntax of the `limits` package."""

    requests: Rates = ()
    tokens: Rates = ()
    """Of prompts and answers together."""
    concurrency: Count | None = None
    """Requests at the same time."""

    if TYPE_CHECKING:
        # What hooks may write, for their type checkers; pydantic turns it into the fields.
        def __init__(
            self, *, requests: str | Sequence[str | Rate] = (), tokens: str | Sequence[str | Rate] = (), concurrency: int | None = None
        ) -> None: ...


class Budget(SettingsModel):
    """What may be spent in a calendar period, UTC. Weeks start on Monday."""

    usd: Amount
    period: Literal["hour", "day", "week", "month", "total"]

    if TYPE_CHECKING:

        def __init__(self, *, usd: Decimal | str | float, period: Literal["hour", "day", "week", "month", "total"]) -> None: ...


class Allowance(SettingsModel):
    """What somebody may use: a tenant, or each caller that the `authenticate` hook names."""

    limits: Limits = Field(default_factory=Limits)
    budget: Budget | None = None
