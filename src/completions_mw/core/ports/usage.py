"""Queries of the ledger's rows, and their results."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

UsageBy = Literal["key", "tenant", "model", "day"]


class UsageQuery(NamedTuple):
    """Selection and grouping of requests whose usage is summed up."""

    by: UsageBy
    """Group of each row: the key or caller, the tenant, the model, or the day in UTC."""
    since_ms: int | None = None
    """Earliest time of arrival, in milliseconds since the epoch."""
    until_ms: int | None = None
    """Time of arrival before which requests are counted, in milliseconds since the epoch."""
    key: str | None = None
    """Id of the key whose requests are counted; None for all."""
    tenant: str | None = None
    """Tenant whose requests are counted; None for all."""
    model: str | None = None
    """Model whose requests are counted; None for all."""
    caller: str | None = None
    """Id of the caller of the `authenticate` function whose requests are counted; None for all."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Sums over requests that have ended."""

    group: str
    """Id of the key or caller (empty for the host app itself), tenant (empty for none), model, or day as `2026-11-23`."""
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_nano: int
    """Cost in nano-dollars."""
    estimated: int
    """Number of requests whose tokens are estimated."""
    scope: str = ""
    """Kind of the id in rows by key: `key`, `caller`, or `app` for the host app itself; empty in other rows."""

    from_cache: int = 0
    """Number of requests that were answered from the response cache, or by the call of an identical request."""
    saved_nano: int = 0
    """Nano-dollars that their answers would have cost."""

    @property
    def hit_rate(self) -> float:
        """Part of the requests that were answered from the cache, from 0 to 1."""
        return self.from_cache / self.requests if self.requests else 0.0

    @property
    def saved(self) -> Decimal:
        """USD that the answers from the cache would have cost."""
        return Decimal(self.saved_nano).scaleb(-9)

    @property
    def cost(self) -> Decimal:
        """Cost in USD."""
        return Decimal(self.cost_nano).scaleb(-9)
