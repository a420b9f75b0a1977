"""The ledger in SQLite."""

from collections.abc import Sequence
from typing import Final

from completions_mw.backends.sql.ledger_rows import old_periods, usage_params, usage_rows
from completions_mw.backends.sql.sqlite import transactions
from completions_mw.backends.sql.sqlite.database import AsyncSqlite, BlockingSqlite
from completions_mw.core.ports import Account, Balance, BudgetChange, Entry, Outcome, Refusal, Tokens, UsageQuery, UsageRow

BATCH: Final = 1000
"""Rows that one transaction removes, so that others do not wait long."""
DAY_MS: Final = 86_400_000
KEPT_IN_MEMORY: Final = 100_000


class SqliteLedger:
    """A `Ledger` in a SQLite database. In memory it keeps the newest `KEPT_IN_MEMORY` rows of requests, for a day.

    Args:
        database: keeps it; closed with it.
    """

    def __init__(self, database: BlockingSqlite | AsyncSqlite) -> None:
        self._database = database
        self._settled = 0

    async def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        now = self._now()
        ordered = sorted(accounts)
        return await self._database.transact(lambda session: transactions.reserve(session, entry, amount, ordered, now, now + ttl_ms))

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        await self._database.fetch("ledger_checkpoint", request_id=request_id, amount=amount, **tokens._asdict())

    async def settle(self, entry: Entry, outcome: Outcome) -> list[BudgetChange]:
        self._settled += 1
        if self._database.volatile and self._settled % BATCH == 0:
            await self._trim(self._now() - DAY_MS)
        return await self._database.transact(lambda session: transactions.settle(session, entry, outcome))

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        expires_ms = self._now() + ttl_ms
        return await self._database.transact(lambda session: transactions.renew(session, request_ids, expires_ms))

    async def reap(self) -> int:
        now = self._now()
        return await self._database.transact(lambda session: transactions.reap(session, now))

    async def prune(self, before_ms: int) -> bool:
        return await self._database.transact(lambda session: transactions.prune(session, before_ms, BATCH))

    async def balances(self, scope: str, name: str) -> list[Balance]:
        return [Balance(*row) for row in await self._database.fetch("ledger_balances", scope=scope, name=name)]

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        return usage_rows(await self._database.report("ledger_usage", **usage_params(query)))

    async def aclose(self) -> None:
        await self._database.aclose()

    async def _trim(self, before_ms: int) -> None:
        await self._database.fetch("ledger_trim", before_ms=before_ms, kept=KEPT_IN_MEMORY)
        await self._database.fetch("ledger_prune_budgets", **old_periods(before_ms), batch=BATCH)

    def _now(self) -> int:
        return int(self._database.clock.time() * 1000)
