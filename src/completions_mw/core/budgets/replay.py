"""The replay of spooled settlements once the ledger is back (docs/promises.md, Stores that fail)."""

from typing import Final

from completions_mw.core.budgets.spool import Spool, Spooled
from completions_mw.core.ports import BudgetChange, Ledger, StoreError, StoreRefusalError
from completions_mw.core.resilience.store_health import StoreHealth

REPLAY_SECONDS: Final = 1.0
"""Seconds that a replay may keep other maintenance waiting."""
MAX_TRIES: Final = 5
"""Number of times that the ledger may refuse a settlement before it is set aside."""


class SpoolReplay:
    """Posts the settlements of a spool to the ledger.

    Args:
        ledger: the ledger.
        spool: the settlements that wait.
        health: breaker and log of the ledger.
        lease_ms: milliseconds for which reservations are renewed.
    """

    def __init__(self, ledger: Ledger, spool: Spool, health: StoreHealth, lease_ms: int) -> None:
        self._ledger = ledger
        self._spool = spool
        self._health = health
        self._lease_ms = lease_ms
        self.posted = 0
        """Number of settlements that were posted."""

    async def run(self) -> list[BudgetChange]:
        """Post spooled settlements, the oldest first, until the ledger fails or `REPLAY_SECONDS` pass; posting one twice is harmless."""
        now = self._health.clock.monotonic
        deadline = now() + REPLAY_SECONDS
        put_off: set[str] = set()
        changes: list[BudgetChange] = []
        while now() < deadline:
            spooled = await self._spool.oldest()
            if spooled is None or spooled.settlement.entry.request_id in put_off:
                break
            try:
                posted = await self._health.call("spool", self._post, spooled)
                changes += posted or ()
                if posted is None:
                    put_off.add(spooled.settlement.entry.request_id)
                    self._spool.postpone(spooled, spooled.tries)
            except StoreRefusalError:
                put_off.add(spooled.settlement.entry.request_id)
                if (tries := spooled.tries + 1) < MAX_TRIES:
                    self._spool.postpone(spooled, tries)
                else:
                    await self._spool.set_aside(spooled)
            except StoreError:
                # Another settlement is tried first the next time, in case this one is the cause.
                self._spool.postpone(spooled, spooled.tries)
                break
        return changes

    async def _post(self, spooled: Spooled) -> list[BudgetChange] | None:
        """Post a spooled settlement; None if it was left by a dead process for a request that still runs."""
        if spooled.is_adopted:
            changes = await self._ledger.adopt(spooled.settlement, self._lease_ms)
            if changes is None:
                return None
        else:
            changes = await self._ledger.settle(*spooled.settlement)
        self.posted += 1
        await self._spool.done(spooled)
        return changes
