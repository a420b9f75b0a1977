"""The rows of usage that are not written yet when a process ends without closing its gateway, as most servers do."""

import atexit
from typing import Final
from weakref import WeakSet

from completions_mw.blocking import run_sync
from completions_mw.core.budgets.guarded_ledger import GuardedLedger
from completions_mw.core.ports import Clock
from completions_mw.settings import StoreSettings
from completions_mw.settings.secrets import MEMORY_ADDRESS


class LastRows:
    """Writes what a ledger has not written when the process ends.

    The event loop of an async ledger has ended by then, so a blocking connection to the same database is opened.

    Args:
        ledger: the ledger.
        settings: its address and time-outs.
        clock: time of the ledger.
    """

    def __init__(self, ledger: GuardedLedger, settings: StoreSettings, clock: Clock) -> None:
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        _all.add(self)

    def write(self) -> None:
        """Write what is left, if anything; a failure is logged."""
        address = self._settings.ledger
        if address is None or address == MEMORY_ADDRESS or not self._ledger.unwritten:
            return
        from completions_mw.backends.sql import call_times, ledger_on, open_database

        database = open_database(address.get_secret_value(), blocking=True, clock=self._clock, times=call_times(self._settings))
        run_sync(self._ledger.write_last(ledger_on(database)))
        run_sync(database.aclose())


_all: Final[WeakSet[LastRows]] = WeakSet()


@atexit.register
def _write_all() -> None:
    for rows in tuple(_all):
        rows.write()
