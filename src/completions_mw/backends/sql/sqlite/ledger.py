"""The ledger in SQLite."""

from collections.abc import Sequence
from typing import Final

from completions_mw.backends.sql.ledger_rows import BATCH_SIZE, old_periods, usage_params, usage_rows
from completions_mw.backends.sql.sqlite.database import SqliteDatabase
from completions_mw.backends.sql.sqlite.transactions import LedgerTransaction
from completions_mw.core.ports import Account, Balance, BudgetChange, Entry, Outcome, Refusal, Tokens, UsageQuery, UsageRow

DAY_MS: Final = 86_400_000
MAX_ROWS_IN_MEMORY: Final = 100_000
"""Rows of requests that a ledger in memory keeps."""


class SqliteLedger:
    """The `Ledger` port in a SQLite database. In memory it keeps the newest rows of requests, for a day.

    Args:
        database: where the ledger is; closed with the ledger.
        batch: rows that one transaction removes at most; in memory, also the settlements after which old rows are removed.
        kept_in_memory: rows of requests that are kept in memory.
    """

    def __init__(self, database: SqliteDatabase, batch: int = BATCH_SIZE, kept_in_memory: int = MAX_ROWS_IN_MEMORY) -> None:
        self._database = database
        self._batch = batch
        self._kept_in_memory = kept_in_memory
        self._settled = 0

    async def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        now = self._now()
        ordered = sorted(accounts)
        return await self._database.transact(lambda started: LedgerTransaction(started).reserve(entry, amount, ordered, now, now + ttl_ms))

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        await self._database.fetch("ledger_checkpoint", request_id=request_id, amount=amount, **tokens._asdict())

    async def settle(self, entry: Entry, outcome: Outcome) -> list[BudgetChange]:
        self._settled += 1
        if self._database.volatile and self._settled % self._batch == 0:
            before_ms = self._now() - DAY_MS
            await self._database.fetch("ledger_trim", before_ms=before_ms, kept=self._kept_in_memory)
            await self._database.fetch("ledger_prune_budgets", **old_periods(before_ms), batch=self._batch)
        return await self._database.transact(lambda started: LedgerTransaction(started).settle(entry, outcome))

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        expires_ms = self._now() + ttl_ms
        return await self._database.transact(lambda started: LedgerTransaction(started).renew(request_ids, expires_ms))

    async def reap(self) -> int:
        now = self._now()
        return await self._database.transact(lambda started: LedgerTransaction(started).reap(now))

    async def prune(self, before_ms: int) -> bool:
        return await self._database.transact(lambda started: LedgerTransaction(started).prune(before_ms, self._batch))

    async def balances(self, scope: str, name: str) -> list[Balance]:
        return [Balance(*row) for row in await self._database.fetch("ledger_balances", scope=scope, name=name)]

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        return usage_rows(await self._database.report("ledger_usage", **usage_params(query)))

    async def aclose(self) -> None:
        await self._database.aclose()

    def _now(self) -> int:
        return int(self._database.clock.time() * 1000)
