"""Settlements, and a ledger that just writes them down."""

from collections.abc import Sequence
from typing import Any

from completions_mw.core.ports import Account, Balance, BudgetChange, Entry, Ledger, Outcome, Settlement, Tokens, UsageQuery, UsageRow


def settlement(number: int, name: str = "team-a") -> Settlement:
    """Return a settlement that differs from all with other numbers."""
    entry = Entry(f"req_{number:032}", "key", name, "acme", "m", stream=True, started_ms=1_795_406_400_000 + number)
    tokens = Tokens(1000 + number, 50, 10, 5)
    return Settlement(entry, Outcome(200, None, "openai/m", "stop", tokens, 10**12 + number, False, 12, 345))


class Books:
    """What a ledger was told, in order; each request once."""

    def __init__(self) -> None:
        self.posted: dict[str, Settlement] = {}
        self.noted: list[Any] = []
        self.running: set[str] = set()
        """Ids of requests that still run."""

    async def settle(self, entry: Entry, outcome: Outcome, accounts: Sequence[Account] = ()) -> list[BudgetChange]:
        if entry.request_id in self.posted:
            return []
        self.posted[entry.request_id] = Settlement(entry, outcome, tuple(accounts))
        return [BudgetChange("key", entry.key, "2026-11", 10**10, outcome.cost, ())]

    async def adopt(self, settlement: Settlement, lease_ms: int) -> list[BudgetChange] | None:
        return None if settlement.entry.request_id in self.running else await self.settle(*settlement)

    async def record(self, settlements: Sequence[Settlement]) -> list[BudgetChange]:
        return [change for settlement in settlements for change in await self.settle(*settlement)]

    async def reserve(self, *args: Any) -> None:
        self.noted.append(args)

    async def checkpoint(self, *args: Any) -> None:
        self.noted.append(args)

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        self.noted.append((request_ids, ttl_ms))
        return []

    async def reap(self) -> int:
        return 3

    async def prune(self, before_ms: int) -> bool:
        return before_ms > 0

    async def balances(self, scope: str, name: str) -> list[Balance]:
        return [Balance(scope, name, "2026-11", 10, 5, 0)]

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        return [UsageRow(query.by, 1, 2, 3, 0, 0, 4, 0)]

    async def aclose(self) -> None: ...

    def as_ledger(self) -> Ledger:
        return self
