"""Which target is asked first (docs/routing.md, Order and weights)."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from completions_mw import Settings
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import Target
from completions_mw.gateway.backends import BlockingBackends
from completions_mw.gateway.models import ModelRegistry
from tests.support.fake_clock import FakeClock

DRAWS = 20_000


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


Routes = Callable[..., Route]


@pytest.fixture
def route(time: FakeClock) -> Routes:
    """Return the route of a model with these targets: names, or names with weights."""

    def make(*targets: str | tuple[str, float]) -> Route:
        written: list[Any] = [name if isinstance(name, str) else {"target": name[0], "weight": name[1]} for name in targets]
        settings = Settings(providers={"up": {"api": "openai"}}, models={"m": {"targets": written}})
        return ModelRegistry(settings, {}, BlockingBackends(), clock=time.clock()).models["m"].route

    return make


def names(targets: Any) -> list[str]:
    return [target.model for target in targets]


def target(route: Route, name: str) -> Target:
    return next(target for target in route.targets if target.model == name)


def first(route: Route, time: FakeClock, draws: int = DRAWS) -> Counter[str]:
    return Counter(route.candidates(time.monotonic)[0].model for _ in range(draws))


def test_targets_without_weights_are_asked_in_their_order(route: Routes, time: FakeClock) -> None:
    assert names(route("up/a", "up/b", "up/c").candidates(time.monotonic)) == ["a", "b", "c"]


def test_weights_are_shares(route: Routes, time: FakeClock) -> None:
    shares = first(route(("up/a", 70), ("up/b", 20), ("up/c", 10)), time)
    for name, share in {"a": 0.7, "b": 0.2, "c": 0.1}.items():
        assert shares[name] / DRAWS == pytest.approx(share, abs=0.02)


def test_the_rest_of_a_group_is_asked_before_the_next_target(route: Routes, time: FakeClock) -> None:
    mixed = route("up/first", ("up/a", 1), ("up/b", 3), "up/last")
    for _ in range(50):
        order = names(mixed.candidates(time.monotonic))
        assert (order[0], set(order[1:3]), order[3]) == ("first", {"a", "b"}, "last")


def test_a_name_between_two_weights_parts_them(route: Routes, time: FakeClock) -> None:
    assert names(route(("up/a", 1), "up/b", ("up/c", 99)).candidates(time.monotonic)) == ["a", "b", "c"]


def test_equals_share_evenly_if_they_are_as_fast(route: Routes, time: FakeClock) -> None:
    shares = first(route(("up/a", 1), ("up/b", 1)), time)
    assert shares["a"] / DRAWS == pytest.approx(0.5, abs=0.02)


def test_a_slow_target_loses_its_share_to_its_equals_alone(route: Routes, time: FakeClock) -> None:
    made = route(("up/slow", 40), ("up/fast", 40), ("up/dear", 20))
    for name, seconds in {"slow": 2.0, "fast": 0.1}.items():
        latency = target(made, name).health.latency
        assert latency is not None
        latency.learn(time.monotonic, seconds)
    shares = first(made, time)
    assert shares["slow"] == 0
    assert shares["dear"] / DRAWS == pytest.approx(0.2, abs=0.02)


def test_it_is_asked_again_after_a_while(route: Routes, time: FakeClock) -> None:
    """As the fast one is measured all the time, and the slow one is forgotten."""
    made = route(("up/slow", 1), ("up/fast", 1))
    slow, fast = target(made, "slow").health.latency, target(made, "fast").health.latency
    assert slow is not None
    assert fast is not None
    slow.learn(time.monotonic, 2.0)
    for _ in range(60):
        time.advance(1)
        fast.learn(time.monotonic, 0.1)
    assert first(made, time, 100)["slow"] == 100


def test_nothing_is_measured_where_nothing_is_compared(route: Routes) -> None:
    made = route("up/only", ("up/a", 1), ("up/b", 2))
    assert all(target.health.latency is None for target in made.targets)


def test_a_target_that_cools_down_is_left_out_while_there_is_another(route: Routes, time: FakeClock) -> None:
    made = route("up/a", "up/b")
    target(made, "a").health.keys.cool(0, time.monotonic + 30)
    assert names(made.candidates(time.monotonic)) == ["b"]
    target(made, "b").health.keys.cool(0, time.monotonic + 30)
    assert names(made.candidates(time.monotonic)) == ["a", "b"]
    time.advance(30)
    assert names(made.candidates(time.monotonic)) == ["a", "b"]


def test_an_open_breaker_leaves_a_target_out_until_its_probe(route: Routes, time: FakeClock) -> None:
    made = route(("up/a", 99), ("up/b", 1))
    target(made, "a").health.breaker.open()
    assert names(made.candidates(time.monotonic)) == ["b"]
    time.advance(4)
    assert set(names(made.candidates(time.monotonic))) == {"a", "b"}


def test_targets_that_do_not_take_the_request_are_left_out(route: Routes, time: FakeClock) -> None:
    made = route("up/a", ("up/b", 1), ("up/c", 1))
    assert names(made.candidates(time.monotonic, [target(made, "a"), target(made, "c")])) == ["b"]
