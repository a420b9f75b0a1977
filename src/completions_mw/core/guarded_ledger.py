"""The ledger as requests meet it: while it is down nobody spends, and what was spent is posted later (FAULTS section 3.4)."""

from collections.abc import Sequence
from contextlib import suppress

from completions_mw.core.ports import Account, Balance, Entry, Ledger, Movement, Outcome, Refusal, StoreError, StoreRefusalError
from completions_mw.core.ports import StoreTimeoutError, Tokens, UsageQuery, UsageRow
from completions_mw.core.refusals import unavailable
from completions_mw.core.spool import Settlement, Spool
from completions_mw.core.store_health import StoreHealth


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
            return await self._health.call("spool", self._ledger.settle, entry, outcome)
        except StoreError:
            await self._spool.put(Settlement(entry, outcome))
            return []

    async def replay(self) -> list[Movement]:
        """Post what waits, the oldest first, until the ledger fails again. Posting twice what was posted changes nothing."""
        movements: list[Movement] = []
        with suppress(StoreError):
            while (spooled := await self._spool.oldest()) is not None:
                movements += await self._health.call("spool", self._ledger.settle, *spooled.settlement)
                await self._spool.done(spooled)
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
        """Post what waits, if that is possible, and close."""
        await self.replay()
        await self._spool.aclose()
        await self._ledger.aclose()
