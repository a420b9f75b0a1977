"""The spool of settlements that the ledger could not take (docs/promises.md, Stores that fail)."""

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from completions_mw.core.budgets.settlement_lines import line_of, settlement_in
from completions_mw.core.ports import Clock, Settlement, SpoolFile, StoreError
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import LOG_SECONDS, log_event

MAX_SETTLEMENTS: Final = 10_000
"""Default number of settlements with which a spool is full for those that move no money of a budget."""


class Spooled(NamedTuple):
    """A settlement in the queue."""

    settlement: Settlement
    receipt: object
    """Receipt of the settlement's line in the file; None if it is only in memory."""
    tries: int = 0
    """Number of times that the ledger has refused the settlement while it took others."""
    is_adopted: bool = False
    """Whether another process has left the settlement. Whoever can write to the folder of the file may have written it."""


class Spool:
    """A queue of settlements, the oldest first.

    Args:
        clock: time, for throttled log records.
        max: number of settlements with which the queue is full for those that move no money of a budget.
        file: file in which settlements outlive the process; None keeps them in memory only.
    """

    def __init__(self, clock: Clock, max: int = MAX_SETTLEMENTS, file: SpoolFile | None = None) -> None:
        self.lost = 0
        """Number of settlements that were lost because the queue was full."""
        self._clock = clock
        self._max = max
        self._file = file
        self._queue: deque[Spooled] = deque()
        self._full_lines = Throttle(LOG_SECONDS)
        self._file_lines = Throttle(LOG_SECONDS)

    def __len__(self) -> int:
        return len(self._queue)

    def request_ids(self) -> list[str]:
        """Return the request ids of the settlements in the queue that are of this process."""
        return [spooled.settlement.entry.request_id for spooled in self._queue.copy() if not spooled.is_adopted]

    async def put(self, settlement: Settlement) -> None:
        """Add the settlement of a request with a reservation. Never fails, and never loses it.

        The ledger gives no reservations meanwhile, so there are no more of these than there were requests under way.
        """
        await self._add([settlement])

    async def put_unreserved(self, settlements: Sequence[Settlement]) -> None:
        """Add settlements that move no money of a budget. Never fails: those for which there is no room are lost, which is logged."""
        room = max(self._max - len(self._queue), 0)
        if lost := len(settlements[room:]):
            self.lost += lost
            if self._full_lines.ready(self._clock.monotonic()):
                log_event(logging.ERROR, "spool_full", held=len(self._queue), lost=self.lost)
        if kept := settlements[:room]:
            await self._add(kept)

    async def oldest(self) -> Spooled | None:
        """Return the settlement to post next, None if there is none; if the queue is empty, it adopts those of a dead process."""
        if not self._queue and self._file is not None:
            await self._adopt(self._file)
        try:
            return self._queue[0]
        except IndexError:
            return None

    async def done(self, spooled: Spooled) -> None:
        """Remove a settlement that was posted."""
        try:
            self._queue.remove(spooled)
        except ValueError:
            # Another thread has posted and removed it.
            return
        if self._file is not None and spooled.receipt is not None:
            await self._file.done(spooled.receipt)

    def postpone(self, spooled: Spooled, tries: int) -> None:
        """Move a settlement to the end of the queue, with its number of refusals."""
        # If it is gone, another thread has posted it.
        with suppress(ValueError):
            self._queue.remove(spooled)
            self._queue.append(spooled._replace(tries=tries))

    async def set_aside(self, spooled: Spooled) -> None:
        """Give up a settlement that the ledger never takes: it is logged, and kept in a file for the operator if there is one."""
        name = None
        if self._file is not None and spooled in self._queue:
            try:
                name = await self._file.set_aside(line_of(spooled.settlement), spooled.receipt)
            except StoreError as error:
                self._complain(error)
                self.postpone(spooled, tries=0)
                return
        with suppress(ValueError):
            self._queue.remove(spooled)
            entry, outcome, _ = spooled.settlement
            log_event(logging.ERROR, "settlement_refused", request_id=entry.request_id, cost=outcome.cost, file=name)

    async def aclose(self) -> None:
        """Release the file's settlements for other processes to adopt; log those that are only in memory."""
        if self._file is not None:
            await self._file.aclose()
            self._queue = deque(spooled for spooled in self._queue if spooled.receipt is None)
        if self._queue:
            cost = sum(spooled.settlement.outcome.cost for spooled in self._queue)
            log_event(logging.ERROR, "settlements_left", settlements=len(self._queue), cost_nano_usd=cost)

    async def _add(self, settlements: Sequence[Settlement]) -> None:
        receipt: object = None
        try:
            receipt = await self._keep(settlements)
        finally:
            # Also if the request is cancelled while the file is written.
            self._queue.extend(Spooled(settlement, receipt) for settlement in settlements)

    async def _keep(self, settlements: Sequence[Settlement]) -> object:
        if self._file is None:
            return None
        try:
            return await self._file.append(*map(line_of, settlements))
        except StoreError as error:
            self._complain(error)
            return None

    async def _adopt(self, file: SpoolFile) -> None:
        try:
            lines = await file.adopt()
        except StoreError as error:
            self._complain(error)
            return
        for line, receipt in lines:
            try:
                self._queue.append(Spooled(settlement_in(line), receipt, is_adopted=True))
            except ValueError:
                await self._leave(file, line, receipt)

    async def _leave(self, file: SpoolFile, line: bytes, receipt: object) -> None:
        # A damaged line, or one of another version, is money too, so it is kept for the operator.
        try:
            name = await file.set_aside(line, receipt)
        except StoreError as error:
            self._complain(error)
        else:
            log_event(logging.ERROR, "spool_unreadable", bytes=len(line), file=name)

    def _complain(self, error: StoreError) -> None:
        if self._file_lines.ready(self._clock.monotonic()):
            log_event(logging.ERROR, "spool_file_failed", error=type(error.__cause__ or error).__name__)
