"""Settlements that the ledger could not take, until it can (docs/promises.md, Stores that fail)."""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from completions_mw.core.budgets.escape import escaped, restored
from completions_mw.core.ports import Clock, Entry, Outcome, StoreError
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import LOG_SECONDS, log_event

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

    async def set_aside(self, line: bytes, receipt: object) -> str:
        """Keep a line where no process adopts it, and then be done with it; without a receipt it was in memory alone.

        Returns:
            What the file is called, without its folder.

        Raises:
            StoreError: it is not kept there; where it was it still is.
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
    tries: int = 0
    """How often it was refused by a ledger that takes others."""


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
        self._full_lines = Throttle(LOG_SECONDS)
        self._file_lines = Throttle(LOG_SECONDS)

    def __len__(self) -> int:
        return len(self._queue)

    def request_ids(self) -> list[str]:
        """Return whose settlements wait."""
        return [spooled.settlement.entry.request_id for spooled in self._queue.copy()]

    async def put(self, settlement: Settlement) -> None:
        """Add a settlement. Never fails: what could not be kept is logged."""
        if len(self._queue) >= self._max:
            self.lost += 1
            if self._full_lines.ready(self._clock.monotonic()):
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

    def postpone(self, spooled: Spooled, tries: int) -> None:
        """Let all others be posted before this one."""
        # Where it is gone, another thread has posted it.
        with suppress(ValueError):
            self._queue.remove(spooled)
            self._queue.append(spooled._replace(tries=tries))

    async def set_aside(self, spooled: Spooled) -> None:
        """Give up what the ledger never takes. The file, if there is one, keeps it for the operator."""
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
            entry, outcome = spooled.settlement
            log_event(logging.ERROR, "settlement_refused", request_id=entry.request_id, cost=outcome.cost, file=name)

    async def aclose(self) -> None:
        """Leave what the file has to others, or to the next time; the rest stays here, as long as the process does."""
        if self._file is not None:
            await self._file.aclose()
            self._queue = deque(spooled for spooled in self._queue if spooled.receipt is None)
        if self._queue:
            cost = sum(spooled.settlement.outcome.cost for spooled in self._queue)
            log_event(logging.ERROR, "settlements_left", settlements=len(self._queue), cost_nano_usd=cost)

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
                self._queue.append(Spooled(_settlement(line), receipt))
            except ValidationError:
                await self._leave(file, line, receipt)

    async def _leave(self, file: SpoolFile, line: bytes, receipt: object) -> None:
        # Damaged, or of a version with other fields: it is money, so it is not for us to remove.
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
    entry, outcome = settlement
    values = {**_mapped(outcome, escaped), "tokens": outcome.tokens._asdict()}
    return to_json({"entry": _mapped(entry, escaped), "outcome": values})


def _settlement(line: bytes) -> Settlement:
    entry, outcome = _reader().validate_json(line)
    return Settlement(entry._replace(**_mapped(entry, restored)), outcome._replace(**_mapped(outcome, restored)))


def _mapped(values: Entry | Outcome, change: Callable[[str], str]) -> dict[str, Any]:
    return {name: change(value) if isinstance(value, str) else value for name, value in values._asdict().items()}


@cache
def _reader() -> TypeAdapter[Settlement]:
    return TypeAdapter(Settlement)
