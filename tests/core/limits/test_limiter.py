"""Which limits a request meets, and which of several refusals it is told of."""

from dataclasses import replace
from typing import Any, Literal

import pytest

from completions_mw import Caller, Limits, RateLimitError, Settings
from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.blocking import run_sync
from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.limits.limit_set import LimitSet
from completions_mw.core.limits.limiter import RateLimiter
from tests.support.failing_calls import FailingCalls
from tests.support.fake_clock import FakeClock

SMALL = TokenEstimate(prompt=10, prompt_bound=40, completion=20, per_choice=20, client_set_max=True)
ASSUMED = TokenEstimate(prompt=10, prompt_bound=40, completion=4096, per_choice=4096, client_set_max=False)
ECHO: dict[str, Any] = {"providers": {"echo": {"api": "echo"}}}
LEASE_MS = 30_000
SHOWN = ("limit", "remaining", "reset")


class Limiter:
    """A rate limiter over a real store, in the time of a fake clock."""

    def __init__(self, **settings: Any) -> None:
        self.time = FakeClock()
        self.calls = FailingCalls()
        store = self.calls.around(MemoryAdmission(self.time.clock()))
        self.limiter = RateLimiter(store, Settings.from_mapping(settings), LEASE_MS)
        self.admitted = 0

    def buckets(self, caller: Caller | None, model: str = "m") -> list[str]:
        """Return the names of all that a request is charged to."""
        found = self.limiter.limits_of(caller, model)
        if found is None:
            return []
        return [*(window.bucket for window in found.windows), *(lease.bucket for lease in found.leases)]

    def limits(self, limits: Limits) -> LimitSet:
        found = self.limiter.limits_of(Caller("ada", limits=limits), "m")
        assert found is not None
        return found

    def admit(self, limits: Limits, estimate: TokenEstimate = SMALL) -> dict[str, str]:
        """Admit a request, and return the headers of its answer."""
        self.admitted += 1
        return dict(run_sync(self.limiter.admit(self.last, self.limits(limits), estimate, "m", Caller("ada", tenant="acme"))))

    def refuse(self, limits: Limits, estimate: TokenEstimate = SMALL) -> RateLimitError:
        with pytest.raises(RateLimitError) as caught:
            self.admit(limits, estimate)
        return caught.value

    def finish(self, tokens: int | None, number: int | None = None) -> None:
        """Finish a request, by its number or the last one."""
        run_sync(self.limiter.finish([self.last if number is None else f"req_{number}"], tokens))

    @property
    def last(self) -> str:
        return f"req_{self.admitted}"


SETTINGS: dict[str, Any] = {
    **ECHO,
    "models": {"m": {"targets": ["echo/m"], "limits": {"requests": "10/minute", "concurrency": 4}}, "free": {"targets": ["echo/m"]}},
    "tenants": {"acme": {"limits": {"tokens": "1000/hour"}}, "idle": {"limits": {}}},
    "callers": {"limits": {"requests": "5/second"}},
}
OWN = Limits(requests="7/day")
MEETS: dict[str, tuple[Caller | None, str, list[str]]] = {
    "app": (None, "m", ["model:m:requests:60", "model:m:concurrency"]),
    "app-free-model": (None, "free", []),
    "caller": (Caller("ada"), "free", ["caller:ada:requests:1"]),
    "caller-with-limits": (Caller("ada", limits=OWN), "free", ["caller:ada:requests:86400"]),
    "caller-without-any": (Caller("ada", limits=Limits()), "free", []),
    "key": (Caller("ada", scope="key"), "free", []),
    "key-with-limits": (Caller("ada", limits=OWN, scope="key"), "free", ["key:ada:requests:86400"]),
    "tenant": (Caller("ada", tenant="acme", scope="key"), "free", ["tenant:acme:tokens:3600"]),
    "idle-tenant": (Caller("ada", tenant="idle", scope="key"), "free", []),
    "all": (
        Caller("ada", tenant="acme", limits=OWN, scope="key"),
        "m",
        ["model:m:requests:60", "key:ada:requests:86400", "tenant:acme:tokens:3600", "model:m:concurrency"],
    ),
}


@pytest.mark.parametrize(("caller", "model", "expected"), MEETS.values(), ids=MEETS)
def test_which_limits_a_request_meets(caller: Caller | None, model: str, expected: list[str]) -> None:
    assert Limiter(**SETTINGS).buckets(caller, model) == expected


NAMES = ["a", "a:requests:60", "a/b", "a%2Fb", "a:b", "{a}", "a*", "*", "a\n", "a b", "á", "\ud800", "key:a"]
SCOPES: tuple[Literal["key", "caller"], ...] = ("key", "caller")


def test_no_two_share_a_counter() -> None:
    """See docs/promises.md, Limits."""
    limits = Limits(requests=["1/minute", "1/hour"], tokens="1/minute", concurrency=1)
    callers = [Caller(name, limits=limits, scope=scope) for scope in SCOPES for name in NAMES]
    names = [bucket for caller in callers for bucket in Limiter().buckets(caller)]
    assert len(set(names)) == len(names) == 4 * len(SCOPES) * len(NAMES)
    assert all(name.isascii() and name.isprintable() and not set(name) & set("{}* /") for name in names)


def test_a_tokens_limit_asks_for_the_whole_demand() -> None:
    limiter = Limiter()
    headers = limiter.admit(Limits(tokens="100/minute"))
    assert headers["x-ratelimit-remaining-tokens"] == "70"


@pytest.mark.parametrize(("used", "remaining"), [(5, 65), (30, 40), (60, 10), (None, 40)])
def test_tokens_are_corrected_within_the_window(used: int | None, remaining: int) -> None:
    """See docs/promises.md, Limits."""
    limiter, limits = Limiter(), Limits(tokens="100/minute")
    limiter.admit(limits)
    limiter.time.advance(59)
    limiter.finish(used)
    assert limiter.admit(limits)["x-ratelimit-remaining-tokens"] == str(remaining)


def test_tokens_of_an_older_window_are_no_credit() -> None:
    """See docs/promises.md, Limits."""
    limiter, limits = Limiter(), Limits(tokens="100/minute")
    limiter.admit(limits)
    limiter.time.advance(60)
    limiter.finish(0)
    assert limiter.admit(limits)["x-ratelimit-remaining-tokens"] == "70"


def level(family: str, limit: int, remaining: int, reset: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"x-ratelimit-{name}-{family}", str(value)) for name, value in zip(SHOWN, (limit, remaining, reset), strict=True))


def test_a_maximum_of_ours_is_cut_to_the_limit() -> None:
    limiter = Limiter()
    assert limiter.admit(Limits(tokens="100/minute"), ASSUMED)["x-ratelimit-remaining-tokens"] == "0"
    error = limiter.refuse(Limits(tokens="5/minute"), ASSUMED)
    assert error.headers == (("x-should-retry", "false"), *level("tokens", 5, 0, "1m0s"))
    assert "Limit 5, Requested 10." in error.message


@pytest.mark.parametrize(("estimate", "cost", "reducible"), [(ASSUMED, 100, 90), (SMALL, 30, 0)], ids=["ours", "stated"])
def test_where_there_is_less_than_the_limit_only_a_maximum_of_ours_may_be_cut(estimate: TokenEstimate, cost: int, reducible: int) -> None:
    limiter = Limiter()
    limiter.admit(Limits(tokens="100/minute"), estimate)
    [(_, [window], _, demand, _)] = limiter.calls.of("admit")
    assert (window.cost(demand), window.cost(demand) - demand.under(0)) == (cost, reducible)


def test_a_request_larger_than_one_of_its_limits_is_charged_to_none() -> None:
    limiter = Limiter()
    limits = Limits(requests="1/minute", tokens=["1000/minute", "25/hour", "28/day"])
    error = limiter.refuse(limits)
    assert "tokens per hour (TPH): Limit 25, Requested 30." in error.message
    assert error.headers == (("x-should-retry", "false"), *level("requests", 1, 1, "0s"), *level("tokens", 1000, 1000, "0s"))
    assert limiter.admit(Limits(requests="1/minute"))["x-ratelimit-remaining-requests"] == "0"


def test_that_a_request_is_too_large_is_told_before_that_others_were_there() -> None:
    """A retry after any time would be in vain."""
    limiter, limits = Limiter(), Limits(requests="1/hour", tokens="40/minute", concurrency=1)
    limiter.admit(limits)
    error = limiter.refuse(limits, replace(SMALL, prompt=21))
    assert error.message.startswith("Request too large for m in organization acme on tokens per min (TPM): Limit 40, Requested 41.")
    assert dict(error.headers)["x-ratelimit-remaining-tokens"] == "10"


def test_the_refusal_that_lasts_longest_is_told() -> None:
    """A retry after the shorter wait would be in vain."""
    limiter = Limiter()
    limits = Limits(requests=["1/second", "1/minute"], tokens="30/hour", concurrency=1)
    limiter.admit(limits)
    limiter.time.advance(0.4)
    error = limiter.refuse(limits)
    assert (error.type, error.code) == ("tokens", "rate_limit_exceeded")
    assert "(TPH): Limit 30, Used 30, Requested 30. Please try again in 59m59.6s." in error.message
    limiter.finish(0, number=1)
    error = limiter.refuse(limits)
    assert "(RPM): Limit 1, Used 1, Requested 1. Please try again in 59.6s." in error.message
    assert dict(error.headers)["retry-after-ms"] == "59600"
    assert dict(error.headers)["retry-after"] == "60"
    assert "x-should-retry" not in dict(error.headers)
    limiter.time.advance(59.6)
    limiter.admit(limits)


def test_only_places_are_missing() -> None:
    limiter, limits = Limiter(), Limits(requests="10/minute", concurrency=2)
    for _ in range(2):
        limiter.admit(limits)
    error = limiter.refuse(limits)
    assert "on concurrent requests: Limit 2, Used 2, Requested 1. Please try again in 1s." in error.message
    assert dict(error.headers)["x-ratelimit-remaining-requests"] == "8"


def test_a_place_is_free_after_its_lease_unless_it_is_renewed() -> None:
    limiter, limits = Limiter(), Limits(concurrency=1)
    limiter.admit(limits)
    id, leases = limiter.last, limiter.limits(limits).leases
    limiter.time.advance(20)
    assert run_sync(limiter.limiter.renew({id: leases})) == []
    limiter.time.advance(20)
    limiter.refuse(limits)
    limiter.time.advance(10)
    limiter.admit(limits)
    assert run_sync(limiter.limiter.renew({id: leases})) == [id]


@pytest.mark.parametrize(("limits", "counts"), [(Limits(requests="1/second"), False), (Limits(tokens="100/second"), True)])
def test_whether_tokens_are_to_be_corrected(limits: Limits, counts: bool) -> None:
    assert Limiter().limits(limits).is_returned is counts
