"""The ledger in PostgreSQL: what takes several statements is a function of the database (`functions.sql`)."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from psycopg.types.json import Jsonb

from completions_mw.backends.batches import Batches
from completions_mw.backends.batches.queue import failures_of
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql.database import ConflictError, Database, LockedError
from completions_mw.backends.sql.ledger_rows import BATCH_SIZE, old_periods, usage_params, usage_rows
from completions_mw.backends.sql.postgres.steps import (
    LedgerStep,
    budget_changes,
    checkpoint,
    reservation,
    settlement,
    steps_by_owner,
)
from completions_mw.backends.sql.reaping_time import ReapingTime
from completions_mw.backends.sql.values import json_of
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

LANES: Final = 6
"""Batches that are under way at the same time, of the connections that there are; maintenance uses the others."""


class PostgresLedger:
    """The `Ledger` port in a PostgreSQL database, by the clock of the database.

    Args:
        database: where the ledger is; closed with the ledger.
        batch: rows that one transaction removes or reaps at most.
        hold: seconds after which the wall clock of the server is believed when reservations are reaped: `ReapingTime`.
        monotonic: the monotonic clock of this process, in seconds.
    """

    def __init__(
        self,
        database: Database,
        batch: int = BATCH_SIZE,
        hold: float = 0.0,
        monotonic: Callable[[], float] = SYSTEM_CLOCK.monotonic,
    ) -> None:
        self._database = database
        self._batch = batch
        self._reaping_time = ReapingTime(monotonic, hold)
        self._steps: Batches[LedgerStep, Any] = database.batches(self._take, lanes=LANES)

    async def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        ordered = sorted(accounts)
        step = reservation(entry, amount, ordered, ttl_ms)
        verdict = await self._steps(step, refusable=True, caller=entry.caller)
        if verdict is not None and verdict["expired"]:
            # In a transaction of its own: a reap locks other budgets.
            await self.reap()
            verdict = await self._steps(step.after_reap())
        if verdict is None:
            return None
        return Refusal(ordered[verdict["account"] - 1], verdict["spent"], verdict["reserved"], verdict["first"])

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        await self._steps(checkpoint(request_id, amount, tokens))

    async def settle(self, entry: Entry, outcome: Outcome, accounts: Sequence[Account] = ()) -> list[BudgetChange]:
        return budget_changes(await self._steps(settlement(entry, outcome, accounts), caller=entry.caller))

    async def adopt(self, left: Settlement, lease_ms: int) -> list[BudgetChange] | None:
        answer = await self._steps(settlement(*left, lease_ms=lease_ms))
        return None if answer is None else budget_changes(answer)

    async def record(self, settlements: Sequence[Settlement]) -> list[BudgetChange]:
        answers = await self._run([settlement(*one) for one in settlements])
        return [change for answer in answers for change in budget_changes(answer)]

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        states: dict[str, str] = dict(await self._database.fetch("ledger_renew", request_ids=list(request_ids), ttl_ms=ttl_ms))
        reaped = [id for id, state in states.items() if state == "reaped"]
        # Each in a transaction of its own, since a restoration locks budgets.
        restored = [await self._database.fetch("ledger_restore", request_id=id, ttl_ms=ttl_ms) for id in reaped]
        lost = {id for id, [[is_held]] in zip(reaped, restored, strict=True) if not is_held}
        return [id for id in request_ids if id in lost or id not in states]

    async def reap(self) -> int:
        [[wall]] = await self._database.fetch("ledger_time")
        time = self._reaping_time.at(wall)
        reaped = 0
        while time is not None and (batch := (await self._database.fetch("ledger_reap", batch=self._batch, time=time))[0][0]):
            reaped += batch
        return reaped

    async def prune(self, before_ms: int) -> bool:
        if len(await self._database.fetch("ledger_prune", before_ms=before_ms, batch=self._batch)) == self._batch:
            return True
        return len(await self._database.fetch("ledger_prune_budgets", **old_periods(before_ms), batch=self._batch)) == self._batch

    async def balances(self, scope: str, name: str) -> list[Balance]:
        return [Balance(*row) for row in await self._database.look_up("ledger_balances", scope=scope, name=name)]

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        return usage_rows(await self._database.report("ledger_usage", **usage_params(query)))

    async def aclose(self) -> None:
        await self._database.aclose()

    async def _take(self, steps: list[LedgerStep]) -> Sequence[Any]:
        """Take steps in one transaction; one that cannot be taken makes no step of another owner fail."""
        try:
            return await self._run(steps)
        except LockedError:
            if len({step.owner for step in steps}) == 1:
                raise
            # The lock was waited for already, so those that do not need it have their turn.
            return await self._take_apart(steps, steps_by_owner(steps))
        except (StoreRefusalError, ConflictError):
            if len(steps) == 1:
                raise
            return await self._take_apart(steps, [[step] for step in steps])

    async def _take_apart(self, steps: list[LedgerStep], parts: list[list[LedgerStep]]) -> Sequence[Any]:
        """Take each part in a transaction of its own, without patience for locks; return the answers in the order of `steps`."""
        answers: dict[int, Any] = {}
        for part in parts:
            try:
                taken: Sequence[Any] = await self._run(part, patient=False)
            except (StoreError, ConflictError) as error:
                taken = failures_of(error, len(part))
            answers.update(zip(map(id, part), taken, strict=True))
        return [answers[id(step)] for step in steps]

    async def _run(self, steps: Sequence[LedgerStep], *, patient: bool = True) -> list[Any]:
        rows = await self._database.fetch("ledger_take", steps=Jsonb([step.fields for step in steps], json_of), patient=patient)
        return [answer for (answer,) in rows]
