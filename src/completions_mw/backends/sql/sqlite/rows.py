"""Rows of the ledger's tables, as far as money is concerned; amounts in nano-dollars."""

from dataclasses import dataclass

from completions_mw.core.ports import THRESHOLDS


@dataclass(slots=True)
class BudgetRow:
    """A row of the table `budgets`."""

    id: int
    scope: str
    name: str
    period: str
    limit: int
    spent: int
    reserved: int
    told: int
    refused: int

    def values(self) -> tuple[int, ...]:
        """Return the id and the columns that change, in the order of the statement `ledger_budgets_change`."""
        return (self.id, self.limit, self.spent, self.reserved, self.told, self.refused)

    def has_room(self, amount: int) -> bool:
        """Tell whether the budget has room for a reservation of `amount`."""
        return self.spent + self.reserved + amount <= self.limit

    def reached(self) -> int:
        """Return the highest threshold that was reached, in percent of the limit; 0 for none."""
        return max((threshold for threshold in THRESHOLDS if self.spent > 0 and self.limit * threshold <= self.spent * 100), default=0)


@dataclass(slots=True)
class EntryRow:
    """The columns of a row of the table `entries` that are about money."""

    request_id: str
    state: str
    reserved: int = 0
    amount: int = 0
    budget_id: int | None = None
    tenant_budget_id: int | None = None
    expires_ms: int | None = None

    @property
    def budget_ids(self) -> tuple[int, ...]:
        """Return the ids of the budgets to which the request is charged: its own, then its tenant's."""
        return tuple(id for id in (self.budget_id, self.tenant_budget_id) if id is not None)
