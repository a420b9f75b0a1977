"""The ledger in PostgreSQL: what takes several statements is a function of the database (`functions.sql`)."""

from collections.abc import Sequence

from completions_mw.backends.sql.database import Database
from completions_mw.backends.sql.ledger_rows import BATCH_SIZE, entry_params, old_periods, outcome_params, usage_params, usage_rows
from completions_mw.core.ports import Account, Balance, BudgetChange, Entry, Outcome, Refusal, Tokens, UsageQuery, UsageRow


class PostgresLedger:
    """The `Ledger` port in a PostgreSQL database, by the clock of the database.

    Args:
        database: where the ledger is; closed with the ledger.
        batch: rows that one transaction removes or reaps at most.
    """

    def __init__(self, database: Database, batch: int = BATCH_SIZE) -> None:
        self._database = database
        self._batch = batch

    async def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        ordered = sorted(accounts)
        verdict = await self._try(entry, amount, ordered, ttl_ms, reaped=False)
        if verdict is not None and verdict[-1]:
            # In a transaction of its own: a reap locks other budgets.
            await self.reap()
            verdict = await self._try(entry, amount, ordered, ttl_ms, reaped=True)
        if verdict is None:
            return None
        at, spent, reserved, first, _ = verdict
        return Refusal(ordered[at - 1], spent, reserved, first)

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        await self._database.fetch("ledger_checkpoint", request_id=request_id, amount=amount, **tokens._asdict())

    async def settle(self, entry: Entry, outcome: Outcome) -> list[BudgetChange]:
        rows = await self._database.fetch("ledger_settle", **entry_params(entry), **outcome_params(outcome))
        return [BudgetChange(*row)._replace(crossed=tuple(row[-1])) for row in rows]

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        states: dict[str, str] = dict(await self._database.fetch("ledger_renew", request_ids=list(request_ids), ttl_ms=ttl_ms))
        reaped = [id for id, state in states.items() if state == "reaped"]
        # Each in a transaction of its own, since a restoration locks budgets.
        restored = [await self._database.fetch("ledger_restore", request_id=id, ttl_ms=ttl_ms) for id in reaped]
        lost = {id for id, [[is_held]] in zip(reaped, restored, strict=True) if not is_held}
        return [id for id in request_ids if id in lost or id not in states]

    async def reap(self) -> int:
        reaped = 0
        while batch := (await self._database.fetch("ledger_reap", batch=self._batch))[0][0]:
            reaped += batch
        return reaped

    async def prune(self, before_ms: int) -> bool:
        if len(await self._database.fetch("ledger_prune", before_ms=before_ms, batch=self._batch)) == self._batch:
            return True
        return len(await self._database.fetch("ledger_prune_budgets", **old_periods(before_ms), batch=self._batch)) == self._batch

    async def balances(self, scope: str, name: str) -> list[Balance]:
        return [Balance(*row) for row in await self._database.fetch("ledger_balances", scope=scope, name=name)]

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        return usage_rows(await self._database.report("ledger_usage", **usage_params(query)))

    async def aclose(self) -> None:
        await self._database.aclose()

    async def _try(
        self, entry: Entry, amount: int, accounts: list[Account], ttl_ms: int, *, reaped: bool
    ) -> tuple[int, int, int, bool, bool] | None:
        scopes, names, periods, limits = map(list, zip(*accounts, strict=True)) if accounts else ([], [], [], [])
        rows = await self._database.fetch(
            "ledger_reserve",
            **entry_params(entry),
            amount=amount,
            ttl_ms=ttl_ms,
            scopes=scopes,
            names=names,
            periods=periods,
            limits=limits,
            reaped=reaped,
        )
        return rows[0] if rows else None
