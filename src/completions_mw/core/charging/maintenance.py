"""What goes on beside requests, once a second: renew, settle, replay, reap, prune."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from logging import WARNING
from operator import attrgetter
from typing import Final
from weakref import ref

from completions_mw.core.budgets.budgets import Budgets
from completions_mw.core.budgets.guarded_ledger import GuardedLedger
from completions_mw.core.charging.charge import Charge, Deferred
from completions_mw.core.limits.limiter import RateLimiter
from completions_mw.core.ports import Background, Clock, StoreError
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import log_event
from completions_mw.settings import StoreSettings

Warnings = Callable[[], Awaitable[list[str]]]

TICK: Final = 1.0
TICKS_OF_LEASE: Final = 6
"""At least so many while a lease lasts: it is due for renewal after a third of it, and a late tick must not be too late."""
REAP_SECONDS: Final = 5.0
PRUNE_SECONDS: Final = 3600.0
PRUNING_SECONDS: Final = 0.2
"""For how long old rows are removed at a time: others wait for the ledger, and for this."""
DAY_MS: Final = 86_400_000


class Maintenance:
    """Runs the maintenance tick: renews leases and reservations, replays the spool, reaps what is dead, prunes what is old.

    Args:
        limiter: whose leases are renewed.
        ledger: whose reservations are renewed, and whose spool is posted; None where there is none.
        budgets: told what was posted later.
        background: calls `tick` every second, or more often where leases are short, from the first request on that needs it.
        clock: tells the time.
        settings: say how long leases and rows hold.
        warnings: what the operator should know of a store that is shared, to be logged once; None if none is.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        ledger: GuardedLedger | None,
        budgets: Budgets,
        background: Background,
        clock: Clock,
        settings: StoreSettings,
        warnings: Warnings | None = None,
    ) -> None:
        self._limiter = limiter
        self._ledger = ledger
        self._budgets = budgets
        self._background = background
        self._clock = clock
        self._ttl = settings.lease_ttl
        self._interval = min(TICK, self._ttl / TICKS_OF_LEASE)
        self._retention_ms = None if settings.retention_days is None else settings.retention_days * DAY_MS
        self._warnings = warnings
        self.deferred: Deferred = Deferred()
        """Ends of streams that the garbage collector found, to be run at the next tick."""
        # A plain set, as threads add to it while it is read: each of its methods is one step of C.
        self._live: set[ref[Charge]] = set()
        self._is_behind = False
        """Whether the ledger could not renew what is reserved."""
        self._is_pruning = False
        """Whether there are more old rows to remove."""
        self._rounds = Throttle(min(REAP_SECONDS, self._ttl / 3))
        self._prunings = Throttle(PRUNE_SECONDS)

    def watch(self, charge: Charge) -> None:
        """Renew what a request holds, until `forget` or until nobody has it any more."""
        if charge.reserved is not None or charge.leases:
            self._live.add(ref(charge, self._live.discard))
        if charge.holds_limits or self._ledger is not None or self._warnings is not None:
            charge.is_watched = True
            self._background.keep(self._interval, self.tick)

    def forget(self, charge: Charge) -> None:
        """Renew a request no longer."""
        self._live.discard(ref(charge))

    def reset(self) -> None:
        """Forget the requests of the parent process, of whose end a child never hears."""
        self._live = set()
        self.deferred.clear()

    async def settle_deferred(self) -> None:
        """Settle the streams that the garbage collector found."""
        while self.deferred:
            end = self.deferred.popleft()
            await end()

    async def tick(self) -> None:
        """Do what is due."""
        now = self._clock.monotonic()
        if self._warnings is not None:
            await self._warn(self._warnings)
        await self.settle_deferred()
        await self._renew_leases()
        if self._ledger is not None:
            await self._look_after(self._ledger, now)
            await self._catch_up(now)
            await self._budgets.notify(await self._ledger.replay(), None)
            await self._prune(self._ledger, now)

    async def _warn(self, warnings: Warnings) -> None:
        # A store that is down now may have something to say later.
        with suppress(StoreError):
            for warning in await warnings():
                log_event(WARNING, "store_warning", text=warning)
            self._warnings = None

    def _running(self) -> list[Charge]:
        # A copy is one step too; a tuple of a set is not, in Python 3.11, where the garbage collector may run meanwhile.
        charges = [reference() for reference in self._live.copy()]
        return [charge for charge in charges if charge is not None and charge.is_open]

    async def _renew_leases(self) -> None:
        # Each time: a store that was restarted has forgotten them, and would give the places away.
        holds = {charge.entry.request_id: charge.leases for charge in self._running() if charge.leases}
        if holds:
            self._end(await self._limiter.renew(holds))

    async def _look_after(self, ledger: GuardedLedger, now: float) -> None:
        """Renew what requests have reserved, and then post what the dead have."""
        was_behind = self._is_behind
        if self._rounds.ready(now) or was_behind:
            await self._renew_reservations(ledger)
            # After an outage those who live have a tick's time to renew before anybody is taken for dead.
            if not (was_behind or self._is_behind):
                # What fails is logged by the ledger's guard, and due again.
                with suppress(StoreError):
                    await ledger.reap()

    async def _renew_reservations(self, ledger: GuardedLedger) -> None:
        reserved = [charge.entry.request_id for charge in self._running() if charge.reserved is not None]
        # What a ledger could not renew is renewed before anything else, once it is back; unless all of it has ended meanwhile.
        self._is_behind = bool(reserved or ledger.spooled)
        if self._is_behind:
            with suppress(StoreError):
                self._end(await ledger.renew(reserved, int(self._ttl * 1000)))
                self._is_behind = False

    def _end(self, request_ids: Iterable[str]) -> None:
        """Let requests end that have lost what they held."""
        lost = set(request_ids)
        for charge in self._running() if lost else ():
            charge.lost = charge.lost or charge.entry.request_id in lost

    async def _catch_up(self, now: float) -> None:
        """Note what streams have cost that are silent; who is left over after a tick's time is first the next time."""
        for charge in sorted(self._running(), key=attrgetter("checkpointed")):
            if self._clock.monotonic() - now >= self._interval:
                return
            await charge.catch_up()

    async def _prune(self, ledger: GuardedLedger, now: float) -> None:
        """Remove old rows for a moment, if that is due; the next tick goes on."""
        if self._retention_ms is None or not (self._prunings.ready(now) or self._is_pruning):
            return
        before_ms = int(self._clock.time() * 1000) - self._retention_ms
        enough = self._clock.monotonic() + PRUNING_SECONDS
        self._is_pruning = True
        with suppress(StoreError):
            while self._is_pruning and self._clock.monotonic() < enough:
                self._is_pruning = await ledger.prune(before_ms)
