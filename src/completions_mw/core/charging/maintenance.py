"""Maintenance beside requests, once a second: renew, settle, replay, reap, prune."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from logging import WARNING
from operator import attrgetter
from typing import Final
from weakref import ref

from completions_mw.core.budgets.budgets import Budgets
from completions_mw.core.budgets.guarded_ledger import GuardedLedger
from completions_mw.core.charging.charge import Charge, Deferred
from completions_mw.core.charging.stopping import StoppingCharges
from completions_mw.core.limits.limiter import RateLimiter
from completions_mw.core.ports import Background, Clock, StoreError
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import log_event
from completions_mw.settings import StoreSettings

Warnings = Callable[[], Awaitable[list[str]]]
"""Check of a shared store: returns warnings for the operator.

Raises:
    StoreError: the store does not answer.
"""

TICK_SECONDS: Final = 1.0
"""Maximum of seconds between two ticks."""
MIN_TICKS_PER_LEASE: Final = 6
"""Minimum of ticks in the lifetime of a lease: reservations are renewed after a third of it, and a tick may be late."""
REAP_SECONDS: Final = 5.0
"""Maximum of seconds between two rounds in which reservations are renewed and expired ones reaped."""
PRUNE_SECONDS: Final = 3600.0
"""Seconds between two removals of old rows."""
MAX_PRUNING_SECONDS: Final = 0.2
"""Seconds of a tick that may be spent on removing old rows, for which requests and other maintenance wait."""
DAY_MS: Final = 86_400_000
"""Milliseconds in a day."""


class Maintenance:
    """Runs the maintenance tick: renews leases and reservations, replays the spool, reaps expired reservations, prunes old rows.

    Args:
        limiter: limiter whose leases are renewed.
        ledger: ledger whose reservations are renewed and whose spool is replayed; None where there is none.
        budgets: budgets that are notified of replayed settlements.
        background: calls `tick` every second, or more often for short leases, after the first request that needs it.
        clock: time.
        settings: lifetime of leases and retention of rows.
        warnings: check of a shared admission store, whose warnings are logged once; None if the store is not shared.
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
        self._interval = min(TICK_SECONDS, self._ttl / MIN_TICKS_PER_LEASE)
        self._retention_ms = None if settings.retention_days is None else settings.retention_days * DAY_MS
        self._warnings = warnings
        self._deferred: deque[Deferred] = deque()
        """Ends of streams that the garbage collector found, to be run at the next tick."""
        # A plain set, because threads add to it while it is read, and each of its methods is atomic.
        self._live: set[ref[Charge]] = set()
        self._stopping = None if ledger is None else StoppingCharges(self._running, ledger, budgets)
        self._is_behind = False
        """Whether the ledger has failed to renew reservations."""
        self._is_pruning = False
        """Whether there are more old rows to remove."""
        self._rounds = Throttle(min(REAP_SECONDS, self._ttl / 3))
        self._prunings = Throttle(PRUNE_SECONDS)
        # Bound once: each request asks for it.
        self._tick = self.tick

    def watch(self, charge: Charge) -> None:
        """Renew the leases and the reservation of a charge as long as it is open and referred to."""
        if not charge.held and self._ledger is None and self._warnings is None:
            return
        charge.is_watched = True
        is_alive = self._background.keep(self._interval, self._tick)
        if charge.leases or charge.reserved is not None:
            charge.is_alive = is_alive
            if self._stopping is not None:
                charge.cancel = self._background.canceller()
            self._live.add(ref(charge, self._live.discard))
        if self._stopping is not None:
            self._background.watch_server(self._stopping)

    def defer(self, end: Deferred) -> None:
        """Run `end` at the next tick: for the garbage collector, which must not wait for a store."""
        self._deferred.append(end)

    def reset(self) -> None:
        """Forget the requests of the parent process after a fork: the child is never told of their end."""
        self._live = set()
        self._deferred.clear()

    async def settle_deferred(self) -> None:
        """Settle the streams that the garbage collector found."""
        while self._deferred:
            try:
                end = self._deferred.popleft()
            except IndexError:
                # The tick of another event loop has taken the last one.
                return
            await end()

    async def tick(self) -> None:
        """Do all maintenance that is due."""
        now = self._clock.monotonic()
        if self._warnings is not None:
            await self._warn(self._warnings)
        await self.settle_deferred()
        await self._renew_leases()
        if self._ledger is not None:
            await self._budgets.notify(await self._ledger.write(), None)
            await self._renew_and_reap(self._ledger, now)
            await self._catch_up(now)
            await self._budgets.notify(await self._ledger.replay(), None)
            await self._prune(self._ledger, now)

    async def _warn(self, warnings: Warnings) -> None:
        # A store that is down is asked again at the next tick.
        with suppress(StoreError):
            for warning in await warnings():
                log_event(WARNING, "store_warning", text=warning)
            self._warnings = None

    def _running(self) -> list[Charge]:
        # `copy` is atomic; `tuple(set)` is not in Python 3.11, where the garbage collector may run within it.
        charges = [reference() for reference in self._live.copy()]
        # A stream that was dropped in an event loop that has ended is open for ever, and must expire.
        return [charge for charge in charges if charge is not None and charge.is_open and charge.is_alive()]

    async def _renew_leases(self) -> None:
        # At every tick, because a restarted store has forgotten the leases and would grant them to others.
        holds = {charge.context.id: charge.leases for charge in self._running() if charge.leases}
        if holds:
            self._end(await self._limiter.renew(holds))

    async def _renew_and_reap(self, ledger: GuardedLedger, now: float) -> None:
        """Renew the reservations of running requests, then reap expired ones."""
        was_behind = self._is_behind
        if self._rounds.ready(now) or was_behind:
            await self._renew_reservations(ledger)
            # After an outage, all processes have a tick's time to renew their reservations before any is reaped.
            if not (was_behind or self._is_behind):
                # A failure is logged by the guard of the ledger, and reaping is due again.
                with suppress(StoreError):
                    await ledger.reap()

    async def _renew_reservations(self, ledger: GuardedLedger) -> None:
        reserved = [charge.context.id for charge in self._running() if charge.reserved is not None]
        # A failed renewal is repeated at the next tick, unless all requests with reservations have ended.
        self._is_behind = bool(reserved or ledger.spooled)
        if self._is_behind:
            with suppress(StoreError):
                self._end(await ledger.renew(reserved, int(self._ttl * 1000)))
                self._is_behind = False

    def _end(self, request_ids: Iterable[str]) -> None:
        """Mark the charges of requests that lost a lease or reservation, so that their streams end."""
        lost = set(request_ids)
        for charge in self._running() if lost else ():
            charge.lost = charge.lost or charge.context.id in lost

    async def _catch_up(self, now: float) -> None:
        """Make late checkpoints, the oldest first; streams that are left after the time of a tick are first at the next tick."""
        for charge in sorted(self._running(), key=attrgetter("checkpointed")):
            if self._clock.monotonic() - now >= self._interval:
                return
            await charge.catch_up()

    async def _prune(self, ledger: GuardedLedger, now: float) -> None:
        """Remove old rows for at most `MAX_PRUNING_SECONDS`; the next tick continues."""
        if self._retention_ms is None or not (self._prunings.ready(now) or self._is_pruning):
            return
        before_ms = int(self._clock.time() * 1000) - self._retention_ms
        deadline = self._clock.monotonic() + MAX_PRUNING_SECONDS
        self._is_pruning = True
        with suppress(StoreError):
            while self._is_pruning and self._clock.monotonic() < deadline:
                self._is_pruning = await ledger.prune(before_ms)
