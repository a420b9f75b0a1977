"""The memory store against a model that is too simple to be wrong, with virtual time."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from completions_mw.backends.memory.finished import FINISHED_MS
from completions_mw.core.ports import Admission, Lease, Window
from tests.support.admission import MemoryStand, Reserved

LEASES = st.sampled_from([1_000, 30_000, 90_000])
BUCKETS = [("requests", 10, 60, False), ("tokens", 100, 60, True), ("daily", 250, 3600, True), ("burst", 3, 1, False)]
WINDOWS = st.lists(st.sampled_from([Window(*bucket) for bucket in BUCKETS]), max_size=4, unique=True)
TOKENS = st.integers(0, 40)
CHOICES: tuple[list[Lease], ...] = ([], [Lease("key", 2)], [Lease("tenant", 4)], [Lease("key", 2), Lease("tenant", 4)])
SLOTS = {f"r{n}": CHOICES[n % 4] for n in range(12)}
"""Whatever happens to a request, its slots are the same."""
IDS = st.sampled_from(sorted(SLOTS))


@dataclass
class Charge:
    request: str
    cost: int
    refundable: bool


@dataclass
class OpenWindow:
    end: int
    charges: list[Charge] = field(default_factory=list)

    def used(self) -> int:
        return sum(charge.cost for charge in self.charges)


@dataclass
class Held:
    verdict: Admission | None
    until: int
    windows: list[OpenWindow]


class AdmissionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stand = MemoryStand()
        self.now = 0
        self.set_clock()
        self.windows: dict[str, OpenWindow] = {}
        self.leases: dict[str, dict[str, int]] = {"key": {}, "tenant": {}}
        self.held: dict[str, Held] = {}
        self.finished: dict[str, int] = {}

    @rule(request=IDS, windows=WINDOWS, tokens=TOKENS, lease_ms=LEASES)
    def admit(self, request: str, windows: list[Window], tokens: int, lease_ms: int) -> None:
        if self.almost_forgotten(request):
            return
        leases = SLOTS[request]
        limits = [Reserved(window, tokens) if window.counts_tokens else window for window in windows]
        actual = self.stand.admit(request, *limits, *leases, lease_ms=lease_ms)
        known = self.held.get(request)
        if known is not None and known.verdict is not None and known.until > self.now:
            assert actual == known.verdict
            return
        held = [len(self.live(lease)) for lease in leases]
        admitted = (
            not self.was_finished(request)
            and all(self.used(window) + cost(window, tokens) <= window.limit for window in windows)
            and all(others < lease.limit for others, lease in zip(held, leases, strict=True))
        )
        if admitted:
            self.charge(request, windows, tokens, leases, lease_ms)
        used, reset_ms = [self.used(window) for window in windows], [self.reset_ms(window) for window in windows]
        expected = Admission(admitted, used, reset_ms, held)
        assert actual == expected
        if admitted:
            self.held[request].verdict = expected

    @rule(request=IDS, tokens=st.none() | st.integers(0, 120))
    def finish(self, request: str, tokens: int | None) -> None:
        self.stand.finish(request, tokens)
        self.finished[request] = self.now
        held = self.held.pop(request, None)
        for window in held.windows if held else []:
            for charge in window.charges:
                if charge.request == request and charge.refundable and tokens is not None:
                    charge.cost = tokens
        # A new life under the same name has other charges.
        for window in self.windows.values():
            window.charges = [Charge("", charge.cost, False) if charge.request == request else charge for charge in window.charges]
        for leases in self.leases.values():
            if held:
                leases.pop(request, None)

    @rule(requests=st.lists(IDS, min_size=1, max_size=4, unique=True), lease_ms=LEASES)
    def renew(self, requests: list[str], lease_ms: int) -> None:
        requests = [request for request in requests if not self.almost_forgotten(request)]
        lost = []
        for request in requests:
            if self.was_finished(request):
                continue
            held = self.held.get(request)
            if held is None or held.until <= self.now:
                held = self.held[request] = Held(None, 0, [])
            held.until = max(held.until, self.now + lease_ms)
            for lease in SLOTS[request]:
                if request in self.live(lease) or len(self.live(lease)) < lease.limit:
                    self.leases[lease.bucket][request] = self.now + lease_ms
                elif request not in lost:
                    lost.append(request)
        assert self.stand.renew({request: SLOTS[request] for request in requests}, lease_ms) == lost

    @rule(ms=st.sampled_from([1, 300, 999, 1_000, 10_000, 30_000, 60_000]))
    def wait(self, ms: int) -> None:
        self.now += ms
        self.set_clock()

    @invariant()
    def no_slot_is_overfull(self) -> None:
        for bucket, limit in (("key", 2), ("tenant", 4)):
            assert len(self.live(Lease(bucket, limit))) <= limit

    def set_clock(self) -> None:
        # In the middle of a millisecond, where no rounding can matter.
        self.stand.clock.monotonic = (self.now + 0.5) / 1000

    def charge(self, request: str, windows: list[Window], tokens: int, leases: list[Lease], lease_ms: int) -> None:
        held = self.held[request] = Held(None, self.now + lease_ms, [])
        for window in windows:
            current = self.current(window.bucket)
            if current is None:
                current = self.windows[window.bucket] = OpenWindow(self.now + window.seconds * 1000)
            current.charges.append(Charge(request, cost(window, tokens), window.counts_tokens))
            if window.counts_tokens:
                held.windows.append(current)
                held.until = max(held.until, current.end)
        for lease in leases:
            self.leases[lease.bucket][request] = self.now + lease_ms

    def current(self, bucket: str) -> OpenWindow | None:
        window = self.windows.get(bucket)
        return window if window is not None and window.end > self.now else None

    def used(self, window: Window) -> int:
        current = self.current(window.bucket)
        return current.used() if current else 0

    def reset_ms(self, window: Window) -> int:
        current = self.current(window.bucket)
        return current.end - self.now if current and current.used() else 0

    def live(self, lease: Lease) -> set[str]:
        return {request for request, until in self.leases[lease.bucket].items() if until > self.now}

    def was_finished(self, request: str) -> bool:
        return self.now - self.finished.get(request, -FINISHED_MS) < FINISHED_MS

    def almost_forgotten(self, request: str) -> bool:
        """Return whether the store may have forgotten the finish, or not."""
        return FINISHED_MS <= self.now - self.finished.get(request, -10 * FINISHED_MS) < 2 * FINISHED_MS


def cost(window: Window, tokens: int) -> int:
    return tokens if window.counts_tokens else 1


class TestQuickly(AdmissionMachine.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


@pytest.mark.soak
class TestLong(AdmissionMachine.TestCase):  # type: ignore[misc, valid-type]
    """At least 10^5 steps."""

    settings = settings(max_examples=1100, stateful_step_count=100, deadline=None)
