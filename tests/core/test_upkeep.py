"""What goes on beside requests, soon enough for what it is for."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from completions_mw.backends.admission import MemoryAdmission
from completions_mw.core.blocking import run
from completions_mw.core.budgeting import Budgets
from completions_mw.core.charge import Charge
from completions_mw.core.demand import Demand
from completions_mw.core.exchange import Exchange
from completions_mw.core.ports import Entry, Slot
from completions_mw.core.rate_limiting import Pass, RateLimiter
from completions_mw.core.upkeep import Upkeep
from completions_mw.settings import Settings, Stores
from tests.support.fake_clock import FakeClock

T = TypeVar("T")
SLOT = Slot("key:team:concurrency", 1)
LATE = 1.2
"""How much later than asked for the work runs, on a machine that has much to do."""


class Repeating:
    """A `Background` in the time of a fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._interval = 0.0
        self._work: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    def keep(self, interval: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._interval, self._work = interval, work

    async def aclose(self) -> None: ...

    def wait(self) -> None:
        """Let the time pass until the work is due."""
        self._clock.advance(self._interval * LATE)

    def work(self) -> None:
        assert self._work is not None
        run(self._work())


def charge_of(clock: FakeClock) -> Charge:
    """Return what a request holds that leases the slot."""
    exchange = Exchange.begin(clock.clock(), debug=False)
    nobody: Any = None
    charge = Charge(nobody, Entry("req_1", "key", "team", "team", "m", False, 0), nobody, exchange, Demand(1, 1, 1, True))
    charge.admitted = Pass((SLOT,), (), counts_tokens=False)
    return charge


@pytest.mark.parametrize("seconds", [1.0, 1.5, 3.0, 30.0])
def test_a_lease_is_renewed_before_it_expires(seconds: float) -> None:
    clock = FakeClock()
    store = MemoryAdmission(clock.clock())
    lease_ms = int(seconds * 1000)
    settings = Settings()
    limiter = RateLimiter(store, settings, lease_ms)
    background = Repeating(clock)
    budgets = Budgets(None, settings, clock.clock(), lease_ms, None)
    upkeep = Upkeep(limiter, None, budgets, background, clock.clock(), Stores(lease_ttl=seconds))
    charge = charge_of(clock)
    run(store.admit("req_1", (), (SLOT,), lease_ms))
    upkeep.watch(charge)
    end = clock.monotonic + 5 * seconds
    while clock.monotonic < end:
        background.wait()
        assert not run(store.admit("req_2", (), (SLOT,), lease_ms)).admitted
        background.work()
    assert not charge.lost
