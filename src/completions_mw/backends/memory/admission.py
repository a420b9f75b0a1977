"""Rate limits and leases in this process: for an app with one worker, and for a worker's share while the shared store is down."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Final

from completions_mw.backends.ownership import PerProcess
from completions_mw.core.ports import Admission, Clock, Lease, LimitState, Window

FINISHED_MS: Final = 5_000
"""For how long a finished request is remembered, so that a call that was under way meanwhile cannot revive it."""
MIN_RECORDS: Final = 1_000
"""How many records are kept before the abandoned ones are looked for."""


class _Counter:
    """What has been used in one window, which another one replaces after its end, in milliseconds."""

    __slots__ = ("end", "used")

    def __init__(self, end: int) -> None:
        self.end = end
        self.used = 0


class _Holders:
    """The requests that hold leases under one limit."""

    __slots__ = ("_earliest", "until")

    def __init__(self) -> None:
        self.until: dict[str, int] = {}
        self._earliest = 0

    def held(self, now: int) -> int:
        """Drop expired leases and return how many are left."""
        if self._earliest <= now:
            self.until = {holder: until for holder, until in self.until.items() if until > now}
            self._earliest = min(self.until.values(), default=0)
        return len(self.until)

    def take(self, holder: str, until: int) -> None:
        """Grant a lease, or extend it."""
        self.until[holder] = until
        self._earliest = min(self._earliest, until) or until


class _Record:
    """What an admitted request holds."""

    __slots__ = ("charges", "leases", "until", "verdict")

    def __init__(self, verdict: Admission | None, charges: Sequence[tuple[_Counter, Window]], leases: Sequence[Lease], until: int) -> None:
        self.verdict = verdict
        self.charges = charges
        self.leases = leases
        self.until = until


class _Finished:
    """Requests that were finished a moment ago: for `FINISHED_MS` at least, and twice that at most."""

    __slots__ = ("_newer", "_older", "_turn")

    def __init__(self) -> None:
        self._newer: set[str] = set()
        self._older: set[str] = set()
        self._turn = 0

    def holds(self, request_id: str, now: int) -> bool:
        self._forget(now)
        return request_id in self._newer or request_id in self._older

    def add(self, request_id: str, now: int) -> None:
        self._forget(now)
        self._newer.add(request_id)

    def _forget(self, now: int) -> None:
        if now >= self._turn:
            self._older = self._newer if now < self._turn + FINISHED_MS else set()
            self._newer = set()
            self._turn = now + FINISHED_MS


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
        self._most_records = MIN_RECORDS
        self._finished = _Finished()

    async def admit(self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], lease_ms: int) -> Admission:
        """Charge all windows and grant all leases, or none of them."""
        now = int(self._monotonic() * 1000)
        with self._lock:
            return self._admit(request_id, windows, leases, lease_ms, now)

    async def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int) -> list[str]:
        """Extend leases; return the requests that lost one for good."""
        now = int(self._monotonic() * 1000)
        with self._lock:
            return [request_id for request_id, leases in holds.items() if not self._renew(request_id, leases, now, now + lease_ms)]

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """Give back what a request holds."""
        now = int(self._monotonic() * 1000)
        with self._lock:
            self._finished.add(request_id, now)
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

    def _admit(self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], lease_ms: int, now: int) -> Admission:
        record = self._records.get(request_id)
        if record is not None and record.verdict is not None and record.until > now:
            return record.verdict
        admitted = not self._finished.holds(request_id, now)
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
        if not admitted:
            return Admission(False, tuple([_state_of(counter, now) for counter in counters]), tuple(concurrent))
        charges = [
            (self._open(window, now) if counter is None else counter, window) for window, counter in zip(windows, counters, strict=True)
        ]
        return self._charge(request_id, charges, leases, tuple(concurrent), now, now + lease_ms)

    def _charge(
        self,
        request_id: str,
        charges: list[tuple[_Counter, Window]],
        leases: Sequence[Lease],
        concurrent: tuple[LimitState, ...],
        now: int,
        until: int,
    ) -> Admission:
        kept, states, longest = [], [], until
        for charge in charges:
            counter, (_, _, _, cost, refundable, _) = charge
            counter.used += cost
            states.append(_state_of(counter, now))
            if refundable:
                kept.append(charge)
                longest = max(longest, counter.end)
        for lease in leases:
            self._holders_of(lease).take(request_id, until)
        verdict = Admission(True, tuple(states), concurrent)
        self._keep(request_id, _Record(verdict, kept, leases, longest), now)
        return verdict

    def _open(self, window: Window, now: int) -> _Counter:
        for _ in range(2):
            if self._windows:
                bucket, oldest = self._windows.popitem(last=False)
                if oldest.end > now:
                    self._windows[bucket] = oldest
        counter = self._windows[window.bucket] = _Counter(now + window.seconds * 1000)
        return counter

    def _holders_of(self, lease: Lease) -> _Holders:
        holders = self._holders.get(lease.bucket)
        if holders is None:
            holders = self._holders[lease.bucket] = _Holders()
        return holders

    def _keep(self, request_id: str, record: _Record, now: int) -> None:
        if len(self._records) >= self._most_records:
            self._drop_abandoned(now)
        self._records[request_id] = record

    def _drop_abandoned(self, now: int) -> None:
        for request_id in [request_id for request_id, record in self._records.items() if record.until <= now]:
            self._release(request_id, self._records.pop(request_id).leases)
        self._most_records = 2 * len(self._records) + MIN_RECORDS

    def _release(self, request_id: str, leases: Sequence[Lease]) -> None:
        for lease in leases:
            holders = self._holders.get(lease.bucket)
            if holders is not None:
                holders.until.pop(request_id, None)
                if not holders.until:
                    del self._holders[lease.bucket]

    def _renew(self, request_id: str, leases: Sequence[Lease], now: int, until: int) -> bool:
        if self._finished.holds(request_id, now):
            return True
        record = self._records.get(request_id)
        if record is not None and record.until > now:
            record.until = max(record.until, until)
        else:
            self._keep(request_id, _Record(None, (), leases, until), now)
        granted = [self._extend(request_id, lease, now, until) for lease in leases]
        return all(granted)

    def _extend(self, request_id: str, lease: Lease, now: int, until: int) -> bool:
        holders = self._holders_of(lease)
        if holders.held(now) >= lease.limit and request_id not in holders.until:
            return False
        holders.take(request_id, until)
        return True


def _state_of(counter: _Counter | None, now: int) -> LimitState:
    return LimitState(counter.used, counter.end - now) if counter is not None and counter.used else LimitState(0, 0)
