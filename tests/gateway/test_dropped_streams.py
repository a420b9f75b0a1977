"""Streams that nobody closes: the garbage collector closes the upstream, and asks no store."""

import gc
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from completions_mw import Budget, Caller, Limits
from completions_mw.blocking import iterate, run_sync
from tests.support.charging import Charging

CALLER = Caller("ada", limits=Limits(tokens="10000/hour", concurrency=2), budget=Budget(usd=Decimal("10"), period="total"))


class Model:
    """Knows whether its answer was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def __call__(self, _: object) -> Iterator[str]:
        try:
            while True:
                yield "word "
        finally:
            self.closed += 1


def drop(charging: Charging, caller: Caller) -> None:
    stream: Any = iterate(charging.stream(caller))
    next(stream)
    del stream
    gc.collect()


def test_the_collector_closes_the_upstream_and_the_maintenance_settles() -> None:
    model = Model()
    charging = Charging(model)
    drop(charging, CALLER)
    assert model.closed == 1
    assert (charging.faults.of("settle"), charging.faults.of("finish")) == ([], [])
    charging.tick()
    assert len(charging.faults.of("settle")) == 1
    usage = charging.usage(CALLER)
    assert usage is not None
    assert (usage.requests, usage.estimated) == (1, 1)
    assert charging.balance(CALLER).spent == usage.cost_nano > 0
    assert (charging.balance(CALLER).reserved, charging.free_places(CALLER)) == (0, 2)


def test_what_was_dropped_is_settled_once() -> None:
    charging = Charging(Model())
    for _ in range(3):
        drop(charging, CALLER)
        charging.tick()
        charging.tick()
    assert len(charging.faults.of("settle")) == 3


def test_what_is_dropped_is_settled_when_the_gateway_closes() -> None:
    charging = Charging(Model())
    drop(charging, CALLER)
    run_sync(charging.maintenance.settle_deferred())
    assert len(charging.faults.of("settle")) == 1
