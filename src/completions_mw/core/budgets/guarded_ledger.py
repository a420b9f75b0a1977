"""The ledger as requests meet it: while it is down nobody spends, and what was spent is posted later (docs/promises.md)."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from completions_mw.core.budgets.spool import Settlement, Spool, Spooled
from completions_mw.core.ports import (
    Account,
    Balance,
    BudgetChange,
    Entry,
    Ledger,
    Outcome,
    Refusal,
    StoreError,
    StoreRefusalError,
    StoreTimeoutError,
    Tokens,
    UsageQuery,
    UsageRow,
)
from completions_mw.core.resilience.store_health import StoreHealth, unavailable_error

REPLAY_SECONDS: Final = 1.0
"""For how long a replay keeps other upkeep waiting at most."""
CLOSING_SECONDS: Final = 5.0
"""For how long it is tried to post what waits at the end."""
MAX_TRIES: Final = 5
"""So often the ledger refuses a settlement before it is set aside."""
RENEWED_AT_ONCE: Final = 1000
"""Reservations, so that others do not wait long."""
_UNAVAILABLE: Final = "budget_unavailable"
_NOT_BEGUN: Final = Outcome(503, _UNAVAILABLE, None, None, Tokens(), 0, estimated=True, first_ms=None, total_ms=0)


class GuardedLedger:
    """A `Ledger` whose reservations fail as requests should, and whose settlements never do. The operator gets the ledger's own errors.

    Args:
        ledger: the truth about money.
        spool: takes the settlements that the ledger cannot take; somebody must call `replay` now and then.
        health: of the ledger.
    """

    def __init__(self, ledger: Ledger, spool: Spool, health: StoreHealth) -> None:
        self._ledger = ledger
        self._spool = spool
        self._health = health
        self._replayed = 0

    @property
    def spooled(self) -> int:
        """How many settlements wait."""
        return len(self._spool)

    async def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        """Hold money in all accounts.

        Raises:
            ServiceUnavailableError: nobody can tell whether it fits.
        """
        try:
            return await self._health.call("closed", self._ledger.reserve, entry, amount, accounts, ttl_ms)
        except StoreError as error:
            if isinstance(error, StoreTimeoutError):
                # It may be held, for a request that will not be: clients that try again would use up the budget with nothing.
                await self._spool.put(Settlement(entry, _NOT_BEGUN))
            raise unavailable_error("Budgets cannot be checked at the moment. Please try again.", _UNAVAILABLE) from error

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        """Note what a stream has cost so far, if the ledger takes it: the stream goes on anyway."""
        with suppress(StoreError):
            await self._health.call("spool", self._ledger.checkpoint, request_id, amount, tokens)

    async def settle(self, entry: Entry, outcome: Outcome) -> list[BudgetChange]:
        """Post what a request cost, now or later; later there are no movements yet."""
        try:
            return await self._health.call("spool", self._ledger.settle, entry, outcome)
        except StoreError:
            await self._spool.put(Settlement(entry, outcome))
            return []

    async def replay(self) -> list[BudgetChange]:
        """Post some of what waits, the oldest first, until the ledger fails again. Posting twice what was posted changes nothing."""
        deadline = self._now() + REPLAY_SECONDS
        put_off: set[str] = set()
        changes: list[BudgetChange] = []
        while self._now() < deadline:
            spooled = await self._spool.oldest()
            if spooled is None or spooled.settlement.entry.request_id in put_off:
                break
            try:
                changes += await self._health.call("spool", self._post, spooled)
            except StoreRefusalError:
                put_off.add(spooled.settlement.entry.request_id)
                await self._put_off(spooled)
            except StoreError:
                # Whatever is wrong with this one, the next time another one is the first.
                self._spool.postpone(spooled, spooled.tries)
                break
        return changes

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        """Extend reservations, and those of the settlements that wait: as long as they do, the money is not free."""
        ids = [*request_ids, *self._spool.request_ids()]
        parts = [ids[at : at + RENEWED_AT_ONCE] for at in range(0, len(ids), RENEWED_AT_ONCE)]
        return [lost for part in parts for lost in await self._health.call("spool", self._ledger.renew, part, ttl_ms)]

    async def reap(self) -> int:
        return await self._health.call("closed", self._ledger.reap)

    async def prune(self, before_ms: int) -> bool:
        return await self._health.call("closed", self._ledger.prune, before_ms)

    async def balances(self, scope: str, name: str) -> list[Balance]:
        return await self._ledger.balances(scope, name)

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        return await self._ledger.usage(query)

    async def aclose(self) -> None:
        """Post what waits, if that is possible in a while, and close."""
        deadline, before = self._now() + CLOSING_SECONDS, -1
        while before != self._replayed and self._now() < deadline:
            before = self._replayed
            await self.replay()
        await self._spool.aclose()
        await self._ledger.aclose()

    def _now(self) -> float:
        return self._health.clock.monotonic()

    async def _post(self, spooled: Spooled) -> list[BudgetChange]:
        changes = await self._ledger.settle(*spooled.settlement)
        self._replayed += 1
        await self._spool.done(spooled)
        return changes

    async def _put_off(self, spooled: Spooled) -> None:
        tries = spooled.tries + 1
        if tries < MAX_TRIES:
            self._spool.postpone(spooled, tries)
        else:
            await self._spool.set_aside(spooled)
