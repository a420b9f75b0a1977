"""Settlements that the ledger could not take, until it can (FAULTS section 3.4)."""

import logging
from collections import deque
from functools import cache
from typing import Final, NamedTuple, Protocol

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from completions_mw.core.ports import Clock, Entry, Outcome, StoreError
from completions_mw.core.store_health import LOG_SECONDS, log_event
from completions_mw.core.turns import Turns

MAX_SETTLEMENTS: Final = 10_000


class Settlement(NamedTuple):
    """What is to be posted."""

    entry: Entry
    outcome: Outcome


class SpoolFile(Protocol):
    """Keeps lines beyond the life of the process."""

    async def append(self, line: bytes) -> object:
        """Keep a line, so that it is there after a power cut.

        Returns:
            A receipt, for `done`.

        Raises:
            StoreError: it is not kept.
        """
        ...

    async def done(self, receipt: object) -> None:
        """A line is needed no longer."""
        ...

    async def adopt(self) -> list[tuple[bytes, object]]:
        """Take over the lines of one process that died, with their receipts; none if there is no such process.

        Raises:
            StoreError: they cannot be read.
        """
        ...

    async def aclose(self) -> None:
        """Let go of what is not done: it is for others to adopt."""
        ...


class Spooled(NamedTuple):
    """A settlement in the queue."""

    settlement: Settlement
    receipt: object
    """Of the file; None if it is in memory alone."""


class Spool:
    """A queue of settlements, the oldest first.

    Args:
        clock: tells when to complain again.
        max: how many it holds; what comes then is lost, and that is logged.
        file: where they outlive the process.
    """

    def __init__(self, clock: Clock, max: int = MAX_SETTLEMENTS, file: SpoolFile | None = None) -> None:
        self.lost = 0
        """How many there was no room for."""
        self._clock = clock
        self._max = max
        self._file = file
        self._queue: deque[Spooled] = deque()
        self._full_lines = Turns(LOG_SECONDS)
        self._file_lines = Turns(LOG_SECONDS)

    def __len__(self) -> int:
        return len(self._queue)

    async def put(self, settlement: Settlement) -> None:
        """Add a settlement. Never fails: what could not be kept is logged."""
        if len(self._queue) >= self._max:
            self.lost += 1
            if self._full_lines.take(self._clock.monotonic()):
                log_event(logging.ERROR, "spool_full", held=len(self._queue), lost=self.lost)
            return
        receipt: object = None
        try:
            receipt = await self._keep(settlement)
        finally:
            # Also where the request is cancelled while the file is written.
            self._queue.append(Spooled(settlement, receipt))

    async def oldest(self) -> Spooled | None:
        """Return what is to be posted next; what processes left that died comes last."""
        if not self._queue and self._file is not None:
            await self._adopt(self._file)
        try:
            return self._queue[0]
        except IndexError:
            return None

    async def done(self, spooled: Spooled) -> None:
        """Remove what was posted."""
        try:
            self._queue.remove(spooled)
        except ValueError:
            # Another thread has posted it too, which changed nothing.
            return
        if self._file is not None and spooled.receipt is not None:
            await self._file.done(spooled.receipt)

    async def aclose(self) -> None:
        """Leave what the file has to others, or to the next time; the rest stays here."""
        if self._file is not None:
            await self._file.aclose()
            self._queue = deque(spooled for spooled in self._queue if spooled.receipt is None)

    async def _keep(self, settlement: Settlement) -> object:
        if self._file is None:
            return None
        try:
            return await self._file.append(_line(settlement))
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
                self._queue.append(Spooled(_reader().validate_json(line), receipt))
            except ValidationError:
                log_event(logging.ERROR, "spool_damaged", bytes=len(line))
                await file.done(receipt)

    def _complain(self, error: StoreError) -> None:
        if self._file_lines.take(self._clock.monotonic()):
            log_event(logging.ERROR, "spool_file_failed", error=type(error.__cause__ or error).__name__)


def _line(settlement: Settlement) -> bytes:
    outcome = {**settlement.outcome._asdict(), "tokens": settlement.outcome.tokens._asdict()}
    return to_json({"entry": settlement.entry._asdict(), "outcome": outcome})


@cache
def _reader() -> TypeAdapter[Settlement]:
    return TypeAdapter(Settlement)
