"""The charges of a process that its server is about to end."""

from collections.abc import Callable, Iterable

from completions_mw.core.budgets.budgets import Budgets
from completions_mw.core.budgets.guarded_ledger import GuardedLedger
from completions_mw.core.charging.charge import Charge


class StoppingCharges:
    """Writes and settles what it can while a server stops: the `Stopping` of a gateway with a ledger.

    Args:
        running: returns the charges of running requests that hold leases or money.
        ledger: the ledger.
        budgets: budgets that are notified of what is written.
    """

    def __init__(self, running: Callable[[], Iterable[Charge]], ledger: GuardedLedger, budgets: Budgets) -> None:
        self._running = running
        self._ledger = ledger
        self._budgets = budgets

    async def begin(self) -> None:
        """Write the rows that wait, and from now on each with its answer: there may be no later."""
        self._ledger.max_unwritten = 0
        await self._budgets.notify(await self._ledger.write(), None)

    async def cut(self) -> None:
        """Cancel what still runs, as the server will: now there is time to settle it."""
        for charge in self._running():
            charge.cancel()
