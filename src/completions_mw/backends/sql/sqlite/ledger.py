"""The ledger in SQLite."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from completions_mw.backends.batches import Batches
from completions_mw.backends.sql.database import ConflictError
from completions_mw.backends.sql.ledger_rows import BATCH_SIZE, old_periods, usage_params, usage_rows
from completions_mw.backends.sql.reaping_time import ReapingTime
from completions_mw.backends.sql.sqlite.database import SqliteDatabase
from completions_mw.backends.sql.sqlite.file import Transaction
from completions_mw.backends.sql.sqlite.transactions import LedgerStep, LedgerTransaction, take_steps
from completions_mw.core.ports import (
    Account,
    Balance,
    BudgetChange,
    Entry,
    Outcome,
    Refusal,
    Settlement,
    StoreError,
    StoreRefusalError,
    Tokens,
    UsageQuery,
    UsageRow,
)

DAY_MS: Final = 86_400_000
MAX_ROWS_IN_MEMORY: Final = 100_000
"""Rows of requests that a ledger in memory keeps."""


class SqliteLedger:
    """The `Ledger` port in a SQLite database. In memory it keeps the newest rows of requests, for a day.

    Args:
        database: where the ledger is; closed with the ledger.
        batch: rows that one transaction removes at most; in memory, also the settlements after which old rows are removed.
        kept_in_memory: rows of requests that are kept in memory.
        hold: seconds after which the wall clock is believed when reservations are reaped: `ReapingTime`.
    """

    def __init__(
        self, database: SqliteDatabase, batch: int = BATCH_SIZE, kept_in_memory: int = MAX_ROWS_IN_MEMORY, hold: float = 0.0
    ) -> None:
        self._database = database
        self._batch = batch
        self._kept_in_memory = kept_in_memory
        self._settled = 0
        self._reaping_time = ReapingTime(database.clock.monotonic, hold)
        self._reaping_time.at(database.clock.time())
        self._steps: Batches[LedgerStep, Any] = database.batches(self._take)

    async def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        ordered = sorted(accounts)
        step = LedgerStep(lambda ledger: ledger.reserve(entry, amount, ordered, ttl_ms), (entry.request_id,), ordered)
        refusal: Refusal | None = await self._steps(step, refusable=True, caller=entry.caller)
        return refusal

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        await self._steps(LedgerStep(lambda ledger: ledger.checkpoint(request_id, amount, tokens), (request_id,)))

    async def settle(self, entry: Entry, outcome: Outcome, accounts: Sequence[Account] = ()) -> list[BudgetChange]:
        if self._database.volatile:
            await self._trim(1)
        step = LedgerStep(lambda ledger: ledger.settle(entry, outcome, accounts), (entry.request_id,))
        changes: list[BudgetChange] = await self._steps(step)
        return changes

    async def adopt(self, settlement: Settlement, lease_ms: int) -> list[BudgetChange] | None:
        step = LedgerStep(lambda ledger: ledger.adopt(settlement, lease_ms), (settlement.entry.request_id,))
        changes: list[BudgetChange] | None = await self._steps(step)
        return changes

    async def record(self, settlements: Sequence[Settlement]) -> list[BudgetChange]:
        if self._database.volatile:
            await self._trim(len(settlements))
        ids = [settlement.entry.request_id for settlement in settlements]
        step = LedgerStep(lambda ledger: [change for settlement in settlements for change in ledger.settle(*settlement)], ids)
        changes: list[BudgetChange] = await self._steps(step)
        return changes

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        lost: list[str] = await self._steps(LedgerStep(lambda ledger: ledger.renew(request_ids, ttl_ms), request_ids))
        return lost

    async def reap(self) -> int:
        reaped: int = await self._steps(LedgerStep(LedgerTransaction.reap))
        return reaped

    async def prune(self, before_ms: int) -> bool:
        return await self._database.transact(lambda transaction: self._pruned(transaction, before_ms))

    async def balances(self, scope: str, name: str) -> list[Balance]:
        return [Balance(*row) for row in await self._database.look_up("ledger_balances", scope=scope, name=name)]

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        return usage_rows(await self._database.report("ledger_usage", **usage_params(query)))

    async def aclose(self) -> None:
        await self._database.aclose()

    async def _take(self, steps: list[LedgerStep]) -> list[Any]:
        """Take steps in one transaction; one that cannot be taken makes no other one fail."""
        try:
            return await self._database.transact(self._work(steps))
        except (StoreRefusalError, ConflictError):
            if len(steps) == 1:
                raise
            return [await self._take_alone(step) for step in steps]

    async def _take_alone(self, step: LedgerStep) -> Any:
        try:
            [answer] = await self._database.transact(self._work([step]))
        except (StoreError, ConflictError) as error:
            return error
        return answer

    def _work(self, steps: list[LedgerStep]) -> Callable[[Transaction], list[Any]]:
        """Return what takes steps in a transaction, by the time at which it begins."""
        return lambda transaction: take_steps(transaction, steps, self._now(), self._reaping_ms())

    def _pruned(self, transaction: Transaction, before_ms: int) -> bool:
        """Remove a batch of old rows; return whether there may be more."""
        if transaction.change("ledger_prune", before_ms=before_ms, batch=self._batch) == self._batch:
            return True
        return transaction.change("ledger_prune_budgets", **old_periods(before_ms), batch=self._batch) == self._batch

    async def _trim(self, settled: int) -> None:
        """Remove old rows of a ledger in memory, from time to time."""
        before = self._settled
        self._settled += settled
        if before // self._batch != self._settled // self._batch:
            before_ms = self._now() - DAY_MS
            await self._database.fetch("ledger_trim", before_ms=before_ms, kept=self._kept_in_memory)
            await self._database.fetch("ledger_prune_budgets", **old_periods(before_ms), batch=self._batch)

    def _now(self) -> int:
        return int(self._database.clock.time() * 1000)

    def _reaping_ms(self) -> int | None:
        time = self._reaping_time.at(self._database.clock.time())
        return None if time is None else int(time * 1000)
