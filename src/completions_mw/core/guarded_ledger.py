"""The ledger as requests meet it: while it is down nobody spends, and what was spent is posted later (FAULTS section 3.4)."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from completions_mw.core.ports import (
    Account,
    Balance,
    Entry,
    Ledger,
    Movement,
    Outcome,
    Refusal,
    StoreError,
    StoreRefusalError,
    StoreTimeoutError,
    Tokens,
    UsageQuery,
    UsageRow,
)
from completions_mw.core.refusals import unavailable
from completions_mw.core.spool import Settlement, Spool, Spooled
from completions_mw.core.store_health import StoreHealth

MAX_REPLAYED: Final = 100
REPLAY_SECONDS: Final = 1.0
"""Both: for how long a replay keeps other upkeep waiting at most."""
CLOSING_SECONDS: Final = 5.0
"""For how long it is tried to post what waits at the end."""
MAX_TRIES: Final = 5
"""So often a settlement is refused by a ledger that takes others, before it is set aside."""
_MAX_UNPROVEN: Final = 2
"""Settlements that fail one after another: then it is rather the ledger, and the others are spared."""


class RefusedSettlementError(StoreRefusalError):
    """The ledger does not take a settlement; whether it takes others is yet to be seen."""


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
        self._posted = 0
        self._posted_before = 0
        """Settlements that the ledger has taken; the latter until the last replay began."""

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
            raise unavailable("Budgets cannot be checked at the moment. Please try again.", "budget_unavailable") from error

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        """Note what a stream has cost so far, if the ledger takes it: the stream goes on anyway."""
        with suppress(StoreError):
            await self._health.call("spool", self._ledger.checkpoint, request_id, amount, tokens)

    async def settle(self, entry: Entry, outcome: Outcome) -> list[Movement]:
        """Post what a request cost, now or later; later there are no movements yet."""
        try:
            movements = await self._health.call("spool", self._ledger.settle, entry, outcome)
        except StoreError:
            await self._spool.put(Settlement(entry, outcome))
            return []
        self._posted += 1
        return movements

    async def replay(self) -> list[Movement]:
        """Post some of what waits, the oldest first, until the ledger fails again. Posting twice what was posted changes nothing."""
        deadline = self._now() + REPLAY_SECONDS
        before, self._posted_before = self._posted_before, self._posted
        refused: set[str] = set()
        movements: list[Movement] = []
        with suppress(StoreError):
            for _ in range(MAX_REPLAYED):
                spooled = await self._spool.oldest()
                if spooled is None or spooled.settlement.entry.request_id in refused or self._now() >= deadline:
                    break
                try:
                    movements += await self._health.call("spool", self._post, spooled)
                except StoreRefusalError as error:
                    refused.add(spooled.settlement.entry.request_id)
                    await self._put_off(spooled, is_proven=self._posted != before or not isinstance(error, RefusedSettlementError))
                    if len(refused) >= _MAX_UNPROVEN and self._posted == self._posted_before:
                        break
        return movements

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> None:
        await self._health.call("spool", self._ledger.renew, request_ids, ttl_ms)

    async def reap(self) -> int:
        return await self._health.call("closed", self._ledger.reap)

    async def prune(self, before_ms: int) -> int:
        return await self._health.call("closed", self._ledger.prune, before_ms)

    async def balances(self, scope: str, name: str) -> list[Balance]:
        return await self._ledger.balances(scope, name)

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        return await self._ledger.usage(query)

    async def aclose(self) -> None:
        """Post what waits, if that is possible in a while, and close."""
        deadline, posted = self._now() + CLOSING_SECONDS, -1
        while posted != self._posted and self._now() < deadline:
            posted = self._posted
            await self.replay()
        await self._spool.aclose()
        await self._ledger.aclose()

    def _now(self) -> float:
        return self._health.clock.monotonic()

    async def _post(self, spooled: Spooled) -> list[Movement]:
        try:
            movements = await self._ledger.settle(*spooled.settlement)
        except (StoreTimeoutError, StoreRefusalError):
            raise
        except StoreError as error:
            # One that never fits must not keep the breaker open; whether the ledger is down, requests find out.
            raise RefusedSettlementError from error
        self._posted += 1
        await self._spool.done(spooled)
        return movements

    async def _put_off(self, spooled: Spooled, *, is_proven: bool) -> None:
        tries = spooled.tries + is_proven
        if tries < MAX_TRIES:
            self._spool.postpone(spooled, tries)
        else:
            await self._spool.set_aside(spooled)
