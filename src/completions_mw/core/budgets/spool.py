"""The spool of settlements that the ledger could not take (docs/promises.md, Stores that fail)."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

from pydantic import TypeAdapter
from pydantic_core import to_json

from completions_mw.core.budgets.escape import escaped, restored
from completions_mw.core.ports import Account, Clock, Entry, Outcome, Settlement, StoreError
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import LOG_SECONDS, log_event

MAX_SETTLEMENTS: Final = 10_000
"""Default number of settlements with which a spool is full for those that move no money of a budget."""
MAX_COUNT: Final = 2**53
"""Tokens or milliseconds that no line of a file has."""
MAX_AMOUNT: Final = 2**80
"""Nano-dollars that a line of a file has at most: more than any usage costs at any price."""


class SpoolFile(Protocol):
    """Keeps lines on disk, so that they outlive the process."""

    async def append(self, *lines: bytes) -> object:
        """Write lines, so that they survive a power cut.

        Returns:
            The receipt of each of the lines, for `done`.

        Raises:
            StoreError: the lines could not be written, and none of them is kept.
        """
        ...

    async def done(self, receipt: object) -> None:
        """Remove a line that is no longer needed."""
        ...

    async def adopt(self) -> list[tuple[bytes, object]]:
        """Take over the lines of one dead process, with their receipts; none if there is no such process.

        Raises:
            StoreError: the lines cannot be read.
        """
        ...

    async def set_aside(self, line: bytes, receipt: object) -> str:
        """Move a line to a file that no process adopts. The receipt is None for a line that was only in memory.

        Returns:
            The name of the file, without its folder.

        Raises:
            StoreError: the line could not be moved and is kept as it was.
        """
        ...

    async def aclose(self) -> None:
        """Release all remaining lines, for other processes to adopt."""
        ...


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
                name = await self._file.set_aside(_line(spooled.settlement), spooled.receipt)
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
            return await self._file.append(*map(_line, settlements))
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
                self._queue.append(Spooled(_settlement(line), receipt, is_adopted=True))
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


def _line(settlement: Settlement) -> bytes:
    entry, outcome, accounts = settlement
    values = {**_mapped(outcome, escaped), "tokens": outcome.tokens._asdict()}
    budgets = [_mapped(account, escaped) for account in accounts]
    return to_json({"entry": _mapped(entry, escaped), "outcome": values, "accounts": budgets})


def _settlement(line: bytes) -> Settlement:
    """Return the settlement in a line.

    Raises:
        ValueError: the line is damaged, of another version, or says what no settlement can.
    """
    entry, outcome, accounts = _reader().validate_json(line)
    settlement = Settlement(
        entry._replace(**_mapped(entry, restored)),
        outcome._replace(**_mapped(outcome, restored)),
        tuple(account._replace(**_mapped(account, restored)) for account in accounts),
    )
    if not _is_possible(settlement):
        raise ValueError("no settlement")
    return settlement


def _is_possible(settlement: Settlement) -> bool:
    entry, outcome, accounts = settlement
    counts = (*outcome.tokens, entry.started_ms, outcome.first_ms or 0, outcome.total_ms)
    amounts = (outcome.cost, outcome.saved, *(account.limit for account in accounts))
    owners = {entry[1:3], ("tenant", entry.tenant)}
    return (
        all(0 <= count < MAX_COUNT for count in counts)
        and all(0 <= amount <= MAX_AMOUNT for amount in amounts)
        and 100 <= outcome.status <= 599
        and all(account[:2] in owners for account in accounts)
    )


def _mapped(values: Entry | Outcome | Account, change: Callable[[str], str]) -> dict[str, Any]:
    return {name: change(value) if isinstance(value, str) else value for name, value in values._asdict().items()}


@cache
def _reader() -> TypeAdapter[Settlement]:
    return TypeAdapter(Settlement)
