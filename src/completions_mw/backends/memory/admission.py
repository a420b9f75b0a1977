"""Rate limits and leases in this process: for an app with one worker, and for a worker's share while the shared store is down."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from completions_mw.backends.ownership import PerProcess
from completions_mw.core.ports import Admission, Clock, Lease, LimitState, Window

FINISHED_MS: Final = 5_000
"""Milliseconds for which a finished request is remembered, so that a call that was under way meanwhile cannot revive it."""
MIN_RECORDS: Final = 1_000
"""Records of requests that are kept before those of abandoned requests are looked for."""
_UNUSED: Final = LimitState(0, 0)
"""The state of a limit under which nothing was used."""


@dataclass(slots=True)
class _Counter:
    """What has been used in one window, which a new counter replaces after its end."""

    end: int
    """Monotonic time in milliseconds."""
    used: int = 0


@dataclass(slots=True)
class _Holders:
    """The requests that hold leases under one limit."""

    until: dict[str, int] = field(default_factory=dict)
    """For each request the monotonic time at which its lease expires, in milliseconds."""
    _earliest: int = 0

    def held(self, now: int) -> int:
        """Drop expired leases and return how many are left."""
        if self._earliest <= now:
            self.until = {holder: until for holder, until in self.until.items() if until > now}
            self._earliest = min(self.until.values(), default=0)
        return len(self.until)

    def take(self, holder: str, until: int) -> None:
        """Grant a lease, or extend the one that `holder` has."""
        self.until[holder] = until
        self._earliest = min(self._earliest, until) or until


@dataclass(slots=True)
class _Record:
    """What an admitted request holds."""

    verdict: Admission | None
    """None where the record was made by a renewal, after the store had forgotten the request."""
    charges: Sequence[tuple[_Counter, Window]]
    """Refundable charges, each in the window to which it was charged."""
    leases: Sequence[Lease]
    until: int
    """Monotonic time at which the last lease and charged window end, in milliseconds."""


class MemoryAdmission(PerProcess):
    """The `AdmissionStore` port in memory, for both gateways, since no call waits for I/O. Each process has its own counters and leases.

    Expired windows and leases are dropped bit by bit, so that there are never many more of them than of current ones.

    Args:
        clock: its monotonic time is used.
    """

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        super().__init__()

    def reset(self) -> None:
        self._lock = Lock()
        self._windows: OrderedDict[str, _Counter] = OrderedDict()
        self._holders: dict[str, _Holders] = {}
        self._records: dict[str, _Record] = {}
        self._max_records = MIN_RECORDS
        self._finished: OrderedDict[str, int] = OrderedDict()
        """For each request that has finished the monotonic time at which it is forgotten, in milliseconds."""

    async def admit(self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], lease_ms: int) -> Admission:
        """Charge all windows and grant all leases, or none of them."""
        now = int(self._monotonic() * 1000)
        with self._lock:
            record = self._records.get(request_id)
            if record is not None and record.verdict is not None and record.until > now:
                return record.verdict
            admitted = self._finished.get(request_id, 0) <= now
            counters = []
            for bucket, limit, _, cost, _, _ in windows:
                counter = self._windows.get(bucket)
                if counter is None or counter.end <= now:
                    counter = None
                    admitted = admitted and cost <= limit
                elif counter.used + cost > limit:
                    admitted = False
                counters.append(counter)
            concurrent = []
            for bucket, limit in leases:
                holders = self._holders.get(bucket)
                held = 0 if holders is None else holders.held(now)
                admitted = admitted and held < limit
                concurrent.append(LimitState(held, 0))
            if admitted:
                return self._charge(request_id, windows, counters, leases, tuple(concurrent), now, now + lease_ms)
        states = [LimitState(counter.used, counter.end - now) if counter and counter.used else _UNUSED for counter in counters]
        return Admission(False, tuple(states), tuple(concurrent))

    async def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int) -> list[str]:
        """Extend leases; return the requests that lost a lease for good."""
        now = int(self._monotonic() * 1000)
        with self._lock:
            return [request_id for request_id, leases in holds.items() if not self._renew(request_id, leases, now, now + lease_ms)]

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """Give back what a request holds."""
        now = int(self._monotonic() * 1000)
        with self._lock:
            self._finished[request_id] = now + FINISHED_MS
            for _ in range(2):
                oldest = next(iter(self._finished))
                if self._finished[oldest] > now:
                    break
                del self._finished[oldest]
            record = self._records.pop(request_id, None)
            if record is not None:
                if tokens is not None:
                    # Windows that ended are out of reach for everybody else by now.
                    for counter, window in record.charges:
                        counter.used += tokens - window.cost
                self._release(request_id, record.leases)

    async def check(self) -> list[str]:
        """Return nothing: memory is always there."""
        return []

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    def _charge(
        self,
        request_id: str,
        windows: Sequence[Window],
        counters: Sequence[_Counter | None],
        leases: Sequence[Lease],
        concurrent: tuple[LimitState, ...],
        now: int,
        until: int,
    ) -> Admission:
        charges, states, longest = [], [], until
        for window, current in zip(windows, counters, strict=True):
            counter = self._open(window, now) if current is None else current
            counter.used += window.cost
            states.append(LimitState(counter.used, counter.end - now) if counter.used else _UNUSED)
            if window.refundable:
                charges.append((counter, window))
                longest = max(longest, counter.end)
        for lease in leases:
            holders = self._holders.get(lease.bucket)
            if holders is None:
                holders = self._holders[lease.bucket] = _Holders()
            holders.take(request_id, until)
        if len(self._records) >= self._max_records:
            self._drop_abandoned(now)
        verdict = Admission(True, tuple(states), concurrent)
        self._records[request_id] = _Record(verdict, charges, leases, longest)
        return verdict

    def _open(self, window: Window, now: int) -> _Counter:
        for _ in range(2):
            if self._windows:
                bucket, oldest = self._windows.popitem(last=False)
                if oldest.end > now:
                    self._windows[bucket] = oldest
        counter = self._windows[window.bucket] = _Counter(now + window.seconds * 1000)
        return counter

    def _renew(self, request_id: str, leases: Sequence[Lease], now: int, until: int) -> bool:
        if self._finished.get(request_id, 0) > now:
            return True
        record = self._records.get(request_id)
        if record is not None and record.until > now:
            record.until = max(record.until, until)
        else:
            if len(self._records) >= self._max_records:
                self._drop_abandoned(now)
            self._records[request_id] = _Record(None, (), leases, until)
        holds_all = True
        for lease in leases:
            holders = self._holders.setdefault(lease.bucket, _Holders())
            if holders.held(now) < lease.limit or request_id in holders.until:
                holders.take(request_id, until)
            else:
                holds_all = False
        return holds_all

    def _drop_abandoned(self, now: int) -> None:
        for request_id in [request_id for request_id, record in self._records.items() if record.until <= now]:
            self._release(request_id, self._records.pop(request_id).leases)
        self._max_records = 2 * len(self._records) + MIN_RECORDS

    def _release(self, request_id: str, leases: Sequence[Lease]) -> None:
        for lease in leases:
            holders = self._holders.get(lease.bucket)
            if holders is not None:
                holders.until.pop(request_id, None)
                if not holders.until:
                    del self._holders[lease.bucket]
