"""Rate limits and leases in this process: for an app with one worker, and for a worker's share while the shared store is down."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, TypeVar

from completions_mw.backends.memory.finished import FinishedRequests
from completions_mw.backends.ownership import PerProcess
from completions_mw.core.ports import Admission, Clock, Lease, TokenDemand, Window

MIN_RECORDS: Final = 1_000
"""Records of requests that are kept before those of abandoned requests are looked for."""


@dataclass(slots=True)
class _Counter:
    """What has been used in one window, which a new counter replaces after its end."""

    end: int
    """Monotonic time in milliseconds."""
    used: int = 0

    def is_over(self, now: int) -> bool:
        return self.end <= now


@dataclass(slots=True)
class _Places:
    """The requests that hold leases under one limit."""

    until: dict[str, int] = field(default_factory=dict)
    """For each request the monotonic time at which its lease expires, in milliseconds."""
    earliest: int = 0
    """The first time at which a lease may expire."""

    def expire(self, now: int) -> None:
        """Drop expired leases."""
        self.until = {holder: until for holder, until in self.until.items() if until > now}
        self.earliest = min(self.until.values(), default=now)

    def take(self, holder: str, until: int) -> None:
        """Grant a lease, or extend the one that `holder` has."""
        if until < self.earliest or not self.until:
            self.earliest = until
        self.until[holder] = until

    def is_over(self, now: int) -> bool:
        if self.earliest <= now:
            self.expire(now)
        return not self.until


_Bucket = TypeVar("_Bucket", _Counter, _Places)


class _Buckets(OrderedDict[str, _Bucket]):
    """Counters or places by the name of their limit. Those that are over are dropped bit by bit."""

    def add(self, name: str, bucket: _Bucket, now: int) -> None:
        """Add a bucket, and look at the two oldest ones: those that are over are dropped, and never many more are kept than go on."""
        for _ in range(min(2, len(self))):
            oldest, old = self.popitem(last=False)
            if not old.is_over(now):
                self[oldest] = old
        self[name] = bucket


@dataclass(slots=True)
class _Record(Admission):
    """The answer to an admitted request, with what it holds. One that is not `admitted` was made by a renewal, and is no answer."""

    charges: Sequence[tuple[Window, _Counter, int]]
    """Each window with the counter and the cost that it was charged."""
    places: Sequence[tuple[str, _Places]]
    """Where the request holds leases, by the name of the limit."""
    until: int
    """Monotonic time at which the last lease ends, in milliseconds."""

    def is_over(self, now: int) -> bool:
        """Return whether all leases have expired, and all windows with reserved tokens have ended."""
        return self.until <= now and all(counter.end <= now for window, counter, _ in self.charges if window.counts_tokens)


class MemoryAdmission(PerProcess):
    """The `AdmissionStore` port in memory, for both gateways, since no call waits for I/O. Each process has its own counters and leases.

    Args:
        clock: its monotonic time is used.
    """

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        super().__init__()

    def reset(self) -> None:
        self._lock = Lock()
        self._counters: _Buckets[_Counter] = _Buckets()
        self._places: _Buckets[_Places] = _Buckets()
        self._records: dict[str, _Record] = {}
        self._max_records = MIN_RECORDS
        self._finished = FinishedRequests()

    async def admit(
        self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], demand: TokenDemand, lease_ms: int
    ) -> Admission:
        """Charge all windows and grant all leases, or none of them."""
        now = int(self._monotonic() * 1000)
        with self._lock:
            record = self._records.get(request_id)
            if record is not None and record.admitted and not record.is_over(now):
                return record
            admitted = not self._finished.has(request_id, now)
            charges: list[tuple[Window, _Counter, int]] = []
            for window in windows:
                bucket, limit, seconds, counts_tokens = window
                cost = demand.under(limit) if counts_tokens else 1
                counter = self._counters.get(bucket)
                if counter is None or counter.end <= now:
                    # Kept only if the request is admitted.
                    counter = _Counter(now + seconds * 1000)
                if counter.used + cost > limit:
                    admitted = False
                charges.append((window, counter, cost))
            places: list[tuple[str, _Places]] = []
            held: list[int] = []
            for bucket, limit in leases:
                place = self._places.get(bucket) or _Places()
                if place.earliest <= now:
                    place.expire(now)
                others = len(place.until)
                if others >= limit:
                    admitted = False
                places.append((bucket, place))
                held.append(others)
            if admitted:
                return self._grant(request_id, charges, places, held, now, now + lease_ms)
        used = [counter.used for _, counter, _ in charges]
        return Admission(False, used, [counter.end - now if counter.used else 0 for _, counter, _ in charges], held)

    async def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int) -> list[str]:
        """Extend leases; return the requests that lost a lease for good."""
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
                    for (_, _, _, counts_tokens), counter, cost in record.charges:
                        if counts_tokens:
                            counter.used += tokens - cost
                for _, place in record.places:
                    place.until.pop(request_id, None)

    async def check(self) -> list[str]:
        """Return nothing: memory is always there."""
        return []

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    def _grant(
        self,
        request_id: str,
        charges: Sequence[tuple[Window, _Counter, int]],
        places: Sequence[tuple[str, _Places]],
        held: Sequence[int],
        now: int,
        until: int,
    ) -> Admission:
        used, reset_ms = [], []
        for window, counter, cost in charges:
            if not counter.used and self._counters.get(window.bucket) is not counter:
                self._counters.add(window.bucket, counter, now)
            counter.used = total = counter.used + cost
            used.append(total)
            reset_ms.append(counter.end - now if total else 0)
        for bucket, place in places:
            if not place.until and self._places.get(bucket) is not place:
                self._places.add(bucket, place, now)
            place.take(request_id, until)
        if len(self._records) >= self._max_records:
            self._drop_abandoned(now)
        record = self._records[request_id] = _Record(True, used, reset_ms, held, charges, places, until)
        return record

    def _renew(self, request_id: str, leases: Sequence[Lease], now: int, until: int) -> bool:
        if self._finished.has(request_id, now):
            return True
        record = self._records.get(request_id)
        if record is None or record.is_over(now):
            if len(self._records) >= self._max_records:
                self._drop_abandoned(now)
            record = self._records[request_id] = _Record(False, (), (), (), (), (), until)
        record.until = max(record.until, until)
        record.places = places = []
        holds_all = True
        for bucket, limit in leases:
            place = self._places.get(bucket)
            if place is None:
                place = _Places()
                self._places.add(bucket, place, now)
            if place.earliest <= now:
                place.expire(now)
            if len(place.until) < limit or request_id in place.until:
                place.take(request_id, until)
                places.append((bucket, place))
            else:
                holds_all = False
        return holds_all

    def _drop_abandoned(self, now: int) -> None:
        for request_id in [request_id for request_id, record in self._records.items() if record.is_over(now)]:
            for _, place in self._records.pop(request_id).places:
                place.until.pop(request_id, None)
        self._max_records = 2 * len(self._records) + MIN_RECORDS
