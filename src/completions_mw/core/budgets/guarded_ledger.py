"""The ledger as requests use it: while it is down, budgets refuse requests and settlements wait (docs/promises.md, Stores that fail)."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from logging import ERROR
from typing import Final

from completions_mw.core.budgets.replay import SpoolReplay
from completions_mw.core.budgets.spool import Spool
from completions_mw.core.ports import (
    Account,
    Balance,
    BudgetChange,
    Entry,
    Ledger,
    Outcome,
    Refusal,
    Settlement,
    StoreError,
    StoreOverloadedError,
    StoreRefusalError,
    StoreTimeoutError,
    Tokens,
    UsageQuery,
    UsageRow,
)
from completions_mw.core.resilience.store_health import StoreHealth, overloaded_error, unavailable_error
from completions_mw.core.telemetry.log import log_event

CLOSING_SECONDS: Final = 5.0
"""Seconds for which spooled settlements are posted before the gateway closes."""
MAX_UNWRITTEN: Final = 2000
"""Number of rows that wait to be written behind their answers; the request that adds one more waits for their writing."""
WRITING_BATCH_SIZE: Final = 500
"""Number of rows that are written in one transaction, so that other transactions do not wait long."""
RENEWAL_BATCH_SIZE: Final = 1000
"""Number of reservations that are renewed in one transaction, so that other transactions do not wait long."""
DEFAULT_LEASE_MS: Final = 30_000
"""Default of milliseconds for which reservations are renewed."""
_UNAVAILABLE_CODE: Final = "budget_unavailable"
_REFUSED_OUTCOME: Final = Outcome(503, _UNAVAILABLE_CODE, None, None, Tokens(), 0, estimated=True, first_ms=None, total_ms=0)


class GuardedLedger:
    """A `Ledger` whose `reserve` raises the error of a request, and whose `settle` never fails. Operators get the ledger's own errors.

    Args:
        ledger: ledger that all processes share.
        spool: keeps settlements that the ledger cannot take, until `replay` posts them.
        health: breaker and log of the ledger.
        lease_ms: milliseconds for which reservations are renewed.
    """

    def __init__(self, ledger: Ledger, spool: Spool, health: StoreHealth, lease_ms: int = DEFAULT_LEASE_MS) -> None:
        self._ledger = ledger
        self._spool = spool
        self._health = health
        self._replay = SpoolReplay(ledger, spool, health, lease_ms)
        self._unwritten: deque[Settlement] = deque()
        """Settlements of requests without a reservation, which are written behind their answers."""
        self.max_unwritten = MAX_UNWRITTEN
        """Number of settlements that wait to be written; 0 writes each at once, when the process is about to end."""

    @property
    def unwritten(self) -> int:
        """Number of settlements that `record` has taken and that are not posted yet."""
        return len(self._unwritten)

    @property
    def spooled(self) -> int:
        """Number of settlements in the spool."""
        return len(self._spool)

    async def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        """Reserve money in all accounts, or return the refusal of one of them.

        Raises:
            ServiceUnavailableError: the ledger does not answer, or too many requests wait for it.
        """
        try:
            return await self._health.call("closed", self._ledger.reserve, entry, amount, accounts, ttl_ms)
        except StoreOverloadedError as error:
            raise overloaded_error() from error
        except StoreError as error:
            if isinstance(error, StoreTimeoutError):
                # The ledger may have reserved the money of a refused request, which retries would repeat until the budget is used up.
                await self._spool.put_unreserved([Settlement(entry, _REFUSED_OUTCOME)])
            raise unavailable_error("Budgets cannot be checked at the moment. Please try again.", _UNAVAILABLE_CODE) from error

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        """Note the cost of a stream so far; a failure is ignored, so that the stream goes on."""
        with suppress(StoreError):
            await self._health.call("spool", self._ledger.checkpoint, request_id, amount, tokens)

    async def settle(self, entry: Entry, outcome: Outcome, accounts: Sequence[Account] = ()) -> list[BudgetChange]:
        """Post the settlement of a request, or spool it and return no budget changes."""
        try:
            return await self._health.call("spool", self._ledger.settle, entry, outcome, accounts)
        except StoreError:
            await self._spool.put(Settlement(entry, outcome, tuple(accounts)))
            return []

    async def adopt(self, settlement: Settlement, lease_ms: int) -> list[BudgetChange] | None:
        return await self._health.call("spool", self._ledger.adopt, settlement, lease_ms)

    async def record(self, settlements: Sequence[Settlement]) -> list[BudgetChange]:
        """Take settlements of requests without a reservation, which `write` posts; no request waits for it, unless very many wait."""
        self._unwritten.extend(settlements)
        return await self.write() if len(self._unwritten) >= self.max_unwritten else []

    async def write(self) -> list[BudgetChange]:
        """Post what `record` has taken, or spool it."""
        changes: list[BudgetChange] = []
        while batch := self._next_unwritten():
            try:
                changes += await self._health.call("spool", self._ledger.record, batch)
            except StoreRefusalError:
                # One of them is at fault, and is spooled.
                for settlement in batch:
                    changes += await self.settle(*settlement)
            except StoreError:
                await self._spool.put_unreserved(batch)
            except BaseException:
                # The request that does this was cancelled. To post one twice is harmless.
                self._unwritten.extendleft(reversed(batch))
                raise
        return changes

    async def write_last(self, ledger: Ledger) -> None:
        """Post what `record` has taken, when the process ends and `aclose` was not called.

        Args:
            ledger: a ledger in the same database, which does not need the event loop that has ended.
        """
        while batch := self._next_unwritten():
            try:
                await ledger.record(batch)
            except StoreError as error:
                cost = sum(settlement.outcome.cost for settlement in batch)
                log_event(ERROR, "settlements_left", settlements=len(batch), cost_nano_usd=cost, error=type(error).__name__)

    async def replay(self) -> list[BudgetChange]:
        """Post spooled settlements (see `SpoolReplay.run`)."""
        return await self._replay.run()

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        """Extend the reservations of running requests, and of this process's spooled settlements, whose money must not become free."""
        ids = [*request_ids, *self._spool.request_ids()]
        parts = [ids[at : at + RENEWAL_BATCH_SIZE] for at in range(0, len(ids), RENEWAL_BATCH_SIZE)]
        return [lost for part in parts for lost in await self._health.call("spool", self._ledger.renew, part, ttl_ms)]

    async def reap(self) -> int:
        return await self._health.call("closed", self._ledger.reap)

    async def prune(self, before_ms: int) -> bool:
        return await self._health.call("closed", self._ledger.prune, before_ms)

    async def balances(self, scope: str, name: str) -> list[Balance]:
        return await self._ledger.balances(scope, name)

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        """Return sums over the rows of requests that have ended, also of those of this process that end right now."""
        await self.write()
        return await self._ledger.usage(query)

    async def aclose(self) -> None:
        """Post what waits, spooled settlements for at most `CLOSING_SECONDS`, then close the spool and the ledger."""
        await self.write()
        now, posted = self._health.clock.monotonic, -1
        deadline = now() + CLOSING_SECONDS
        while posted != self._replay.posted and now() < deadline:
            posted = self._replay.posted
            await self._replay.run()
        await self._spool.aclose()
        await self._ledger.aclose()

    def _next_unwritten(self) -> list[Settlement]:
        batch: list[Settlement] = []
        # Another thread may take the last ones.
        with suppress(IndexError):
            while len(batch) < WRITING_BATCH_SIZE:
                batch.append(self._unwritten.popleft())
        return batch
