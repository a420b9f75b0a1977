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
    is_changed: bool = False
    """Whether the row is to be written."""

    def values(self) -> tuple[int, ...]:
        """Return the id and the columns that change, in the order of the statement `ledger_budgets_change`."""
        return (self.id, self.limit, self.spent, self.reserved, self.told, self.refused)

    def has_room(self, amount: int) -> bool:
        """Return whether the budget has room for a reservation of `amount`."""
        return self.spent + self.reserved + amount <= self.limit

    def reached(self) -> int:
        """Return the highest threshold that was reached, in percent of the limit; 0 for none."""
        reached = 0
        for threshold in THRESHOLDS:
            if self.spent <= 0 or self.limit * threshold > self.spent * 100:
                break
            reached = threshold
        return reached


@dataclass(slots=True)
class EntryRow:
    """The columns of a row of the table `entries` that are about money."""

    request_id: str
    state: str
    reserved: int = 0
    amount: int = 0
    budget_id: int | None = None
    """Id of the budget of the key or caller to which the request is charged."""
    tenant_budget_id: int | None = None
    """Id of the tenant's budget to which it is charged."""
    expires_ms: int | None = None
