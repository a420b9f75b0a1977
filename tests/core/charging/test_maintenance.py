"""What goes on beside requests, soon enough for what it is for."""

import gc
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from completions_mw import Budget, Caller, Limits, RateLimitError, ServiceUnavailableError
from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.blocking import run_sync
from completions_mw.core.budgets.budgets import Budgets
from completions_mw.core.charging.charge import Accounting, Charge
from completions_mw.core.charging.maintenance import MAX_PRUNING_SECONDS, Maintenance
from completions_mw.core.charging.used import UsedTokens
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.limits.limiter import RateLimiter
from completions_mw.core.ports import Entry, Lease, Stopping, StoreError, Watched
from completions_mw.settings import Settings, StoreSettings
from tests.support.admission import admit
from tests.support.charging import LEASE, Charging, read
from tests.support.fake_clock import FakeClock
from tests.support.logs import line

T = TypeVar("T")
SLOT = Lease("key:team:concurrency", 1)
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

    def keep(self, interval: float, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], bool]:
        self._interval, self._work = interval, work
        return lambda: True

    def watch(self, watched: Watched) -> None: ...

    def unwatch(self, watched: Watched) -> None: ...

    def canceller(self) -> Callable[[], None]:
        return lambda: None

    def watch_server(self, stopping: Stopping) -> None: ...

    def is_stop(self, error: BaseException) -> bool:
        return False

    async def aclose(self) -> None: ...

    def wait(self) -> None:
        """Let the time pass until the work is due."""
        self._clock.advance(self._interval * LATE)

    def work(self) -> None:
        assert self._work is not None
        run_sync(self._work())


def charge_of(clock: FakeClock) -> Charge:
    """Return what a request holds that leases the slot."""
    nobody: Any = None
    estimate = TokenEstimate(1, 1, 1, 1, client_set_max=True)
    accounting = Accounting(None, UsedTokens("estimate"), lambda end: None)
    charge = Charge(RequestContext(clock.clock()), None, nobody, nobody, estimate, None, (), accounting)
    charge.held, charge.leases = (charge.context.id,), (SLOT,)
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
    maintenance = Maintenance(limiter, None, budgets, background, clock.clock(), StoreSettings(lease_ttl=seconds))
    charge = charge_of(clock)
    run_sync(admit(store, charge.context.id, SLOT, lease_ms=lease_ms))
    maintenance.watch(charge)
    end = clock.monotonic + 5 * seconds
    while clock.monotonic < end:
        background.wait()
        assert not run_sync(admit(store, "req_2", SLOT, lease_ms=lease_ms)).admitted
        background.work()
    assert not charge.lost


CALLER = Caller("ada", limits=Limits(concurrency=2), budget=Budget(usd=Decimal("10"), period="total"))

SHORT = [{"role": "user", "content": "x"}]
COST = 1 * 1_000_000 + 4 * 2_000_000


def answer(_: object) -> list[str]:
    return ["one ", "two ", "three"]


def test_what_a_long_stream_holds_is_renewed() -> None:
    charging = Charging(answer)
    stream = charging.stream(CALLER)
    held = charging.balance(CALLER).reserved
    for _ in range(10):
        charging.tick(LEASE / 3)
        assert charging.free_places(CALLER) == 1
        assert charging.balance(CALLER)[4:] == (0, held)
    read(stream)
    assert (charging.free_places(CALLER), charging.balance(CALLER).reserved) == (2, 0)


def test_nothing_is_renewed_more_often_than_needed() -> None:
    """Leases each second, as a store that has forgotten them gives their places away; money every five."""
    charging = Charging(answer)
    stream = charging.stream(CALLER)
    for _ in range(30):
        charging.tick()
    assert len(charging.faults.of("renew")) == 30 + 30 // 5
    read(stream)
    charging.tick(LEASE)
    assert len(charging.faults.of("renew")) == 30 + 30 // 5


def test_places_that_the_store_forgot_are_taken_again_within_a_second() -> None:
    """It was restarted, empty (docs/promises.md, Stores that fail)."""
    charging = Charging(answer)
    streams = [charging.stream(CALLER) for _ in range(2)]
    charging.store.reset()
    charging.tick()
    with pytest.raises(RateLimitError):
        charging.stream(CALLER)
    for stream in streams:
        read(stream)


def words(_: object) -> Iterator[str]:
    yield from ["word "] * 300


def test_money_that_was_given_away_is_taken_again_where_there_is_room() -> None:
    """The wall clock has jumped, so the reservation of a request that lives was taken for one of the dead (docs/promises.md)."""
    charging = Charging(words)
    stream = charging.stream(CALLER)
    before = charging.balance(CALLER)
    charging.time.now += 3600
    run_sync(charging.books.reap())
    assert charging.balance(CALLER).reserved == 0
    for _ in range(5):
        charging.tick()
    assert charging.balance(CALLER) == before
    read(stream)
    usage = charging.usage(CALLER)
    assert usage is not None
    assert charging.balance(CALLER)[4:] == (usage.cost_nano, 0)


def test_a_stream_ends_whose_money_was_given_to_others() -> None:
    charging = Charging(words)
    caller = Caller("ada", budget=Budget(usd=Decimal("0.25"), period="total"))
    first = charging.stream(caller, max_tokens=100)
    charging.time.now += 3600
    run_sync(charging.books.reap())
    second = charging.stream(caller, max_tokens=100)
    for _ in range(5):
        charging.tick()
    with pytest.raises(ServiceUnavailableError) as caught:
        read(first)
    assert caught.value.code == "lease_lost"
    assert read(second) > 0


def test_old_rows_are_removed_bit_by_bit() -> None:
    """What is renewed meanwhile must not wait for them."""
    charging = Charging(answer, stores={"ledger": "memory://", "retention_days": 1})
    pruned: list[int] = []

    async def prune(before_ms: int) -> bool:
        pruned.append(before_ms)
        charging.time.advance(0.6 * MAX_PRUNING_SECONDS)
        return len(pruned) < 5

    charging.books.prune = prune  # type: ignore[method-assign]
    charging.complete(CALLER)
    counts = []
    for _ in range(5):
        charging.tick()
        counts.append(len(pruned))
    assert counts == [2, 4, 5, 5, 5]


def test_a_stream_that_nobody_has_any_more_is_over_with_its_lease() -> None:
    """Nobody closed it, as after a fault of a server."""
    charging = Charging(answer)
    stream = charging.stream(CALLER)
    del stream
    gc.collect()
    for _ in range(4):
        charging.tick(LEASE / 3)
    assert (charging.free_places(CALLER), charging.balance(CALLER).reserved) == (2, 0)


def test_what_a_dead_worker_held_is_reaped_in_seconds() -> None:
    charging = Charging(answer)
    charging.complete(CALLER)
    entry = Entry("req_dead", "caller", "ada", "ada", "m", False, 0)
    account = charging.faults.of("reserve")[0][2]
    run_sync(charging.books.reserve(entry, 1000, account, 1000))
    charging.tick()
    for _ in range(5):
        charging.tick()
    assert charging.balance(CALLER).reserved == 0


def test_dead_workers_are_reaped_although_a_renewal_failed_whose_request_has_ended() -> None:
    charging = Charging(answer)
    stream = charging.stream(CALLER)
    account = charging.faults.of("reserve")[0][2]
    charging.faults.fail_always(StoreError("down"))
    charging.tick(LEASE / 3)
    read(stream)
    charging.faults.stop()
    run_sync(charging.books.reserve(Entry("req_dead", "caller", "ada", "ada", "m", False, 0), 1000, account, 1000))
    for _ in range(10):
        charging.tick()
    assert charging.balance(CALLER).reserved == 0


def test_what_the_ledger_could_not_take_is_posted_when_it_is_back() -> None:
    """And the operator is told then of the thresholds that it reaches."""
    alerts: list[Any] = []
    charging = Charging(answer, on_budget=alerts.append)
    poor = Caller("ada", limits=Limits(concurrency=2), budget=Budget(usd=Decimal("0.05"), period="total"))
    for _ in range(2):
        read(charging.stream(poor, max_tokens=1, messages=SHORT))
    assert alerts == []
    stream = charging.stream(poor, max_tokens=1, messages=SHORT)
    charging.faults.fail_always(StoreError("down"))
    read(stream)
    charging.tick()
    assert charging.ledger.spooled == 1
    charging.faults.stop()
    charging.tick()
    charging.tick()
    spent = charging.balance(poor)
    assert (charging.ledger.spooled, spent.reserved) == (0, 0)
    assert [alert.threshold for alert in alerts] == [50]
    assert spent.spent == 3 * COST


@pytest.mark.parametrize(("days", "left"), [(None, 2), (30, 1), (365, 2)])
def test_rows_are_kept_for_as_long_as_the_settings_say(days: int | None, left: int) -> None:
    charging = Charging(answer, stores={"ledger": "memory://", "retention_days": days})
    charging.complete(CALLER)
    charging.tick(31 * 86_400)
    charging.complete(CALLER)
    charging.tick(3600)
    usage = charging.usage(CALLER)
    assert usage is not None
    assert usage.requests == left


def warned(records: list[Any]) -> list[str]:
    lines = [line(record) for record in records]
    return [one["text"] for one in lines if one["event"] == "store_warning"]


def test_what_a_store_says_of_itself_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    answers: list[list[str] | StoreError] = [StoreError("down"), ["maxmemory-policy evicts"]]

    async def warnings() -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    limiter = RateLimiter(MemoryAdmission(clock.clock()), Settings(), 1000)
    budgets = Budgets(None, Settings(), clock.clock(), 1000, None)
    background = Repeating(clock)
    maintenance = Maintenance(limiter, None, budgets, background, clock.clock(), StoreSettings(), warnings)
    maintenance.watch(charge_of(clock))
    for _ in range(4):
        background.wait()
        background.work()
    assert warned(caplog.records) == ["maxmemory-policy evicts"]
    assert answers == []


def test_a_stream_whose_event_loop_has_ended_expires() -> None:
    """Other loops of the process renew what they run, and not what nobody can go on with."""

    def words(_: object) -> Iterator[str]:
        yield from ["word "] * 10

    caller = Caller("ada", limits=Limits(concurrency=1), budget=Budget(usd=Decimal(10), period="total"))
    charging = Charging(words)
    stream = charging.stream(caller)
    run_sync(stream.__anext__())
    for _ in range(3):
        charging.tick(LEASE / 2)
    assert (charging.balance(caller).reserved > 0, charging.free_places(caller)) == (True, 0)
    charging.background.is_alive = False
    charging.tick(LEASE + 1)
    charging.tick(LEASE + 1)
    assert (charging.balance(caller).reserved, charging.free_places(caller)) == (0, 1)
    assert charging.balance(caller).spent > 0
    run_sync(stream.aclose())
