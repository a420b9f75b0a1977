"""Questions to the ledger, and its answers."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

UsageBy = Literal["key", "tenant", "model", "day"]


class UsageQuery(NamedTuple):
    """Which requests to sum up, and how."""

    by: UsageBy
    """One row for each of them; days are UTC."""
    since_ms: int | None = None
    """Milliseconds since the epoch, inclusive."""
    until_ms: int | None = None
    """Exclusive."""
    key: str | None = None
    tenant: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Sums over requests. Those that are still running are not among them."""

    group: str
    """The id of the key or caller (empty for the app itself), the tenant, the model, or the day as `2026-11-23`."""
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_nano: int
    """Nano-dollars."""
    estimated: int
    """How many of the requests were counted by an estimate."""

    @property
    def cost(self) -> Decimal:
        """USD."""
        return Decimal(self.cost_nano).scaleb(-9)
