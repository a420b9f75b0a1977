"""Direct calls of Python are limited and charged as HTTP is, and raise what HTTP answers; in both kinds of gateways."""

import asyncio
from collections.abc import Coroutine, Iterator
from decimal import Decimal
from typing import Any, Literal, TypeVar, get_args

import pytest

from completions_mw import (
    AsyncGateway,
    Budget,
    BudgetAlert,
    BudgetExceededError,
    Caller,
    Gateway,
    GatewayError,
    InvalidRequestError,
    Limits,
    PermissionDeniedError,
    RateLimitError,
    Settings,
)
from completions_mw.core.ports import Balance, UsageRow

T = TypeVar("T")
KEY = "sk-team-0123456789"
HELLO = [{"role": "user", "content": "one two three"}]
COST = 4 * 1_000_000 + 2 * 2_000_000
"""Nano-dollars of an answer: the prompt is four tokens by our estimate, the answer two."""
Scope = Literal["key", "caller", "tenant"]


def answer(_: object) -> Iterator[str]:
    yield "hello "
    yield "me"


def settings(**more: Any) -> Settings:
    tree: dict[str, Any] = {
        "models": {"m": {"prices": {"input": "1000", "output": "2000"}, "max_output_tokens": 10}, "unpriced": {}},
        "keys": {"team": {"secret": KEY, "limits": {"requests": "4/hour"}, "budget": {"usd": "10", "period": "total"}}},
        "stores": {"ledger": "memory://"},
    }
    return Settings.from_mapping(tree | more)


class Calls:
    """The direct calls of a gateway, in blocking words whichever kind it is."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.gateway = Gateway(settings, models={"m": answer, "unpriced": answer}, **options)

    def complete(self, **fields: Any) -> int:
        """Return the tokens of an answer."""
        usage = self.gateway.complete(**{"model": "m", "messages": HELLO, **fields}).usage
        assert usage is not None
        return usage.total_tokens

    def stream(self, **fields: Any) -> str:
        """Return the text of a stream."""
        with self.gateway.stream(**{"model": "m", "messages": HELLO, **fields}) as chunks:
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    def leave(self, **fields: Any) -> None:
        """Leave a stream after its first chunk."""
        with self.gateway.stream(**{"model": "m", "messages": HELLO, **fields}) as chunks:
            next(chunks)

    def usage(self, **only: Any) -> list[UsageRow]:
        return self.gateway.usage(**only)

    def balances(self, id: str, scope: Scope) -> list[Balance]:
        return self.gateway.balances(id, scope)

    def close(self) -> None:
        self.gateway.close()


class AsyncCalls:
    """The same of an async gateway."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.async_gateway = AsyncGateway(settings, models={"m": answer, "unpriced": answer}, **options)
        self.runner = asyncio.Runner()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def complete(self, **fields: Any) -> int:
        usage = self._run(self.async_gateway.complete(**{"model": "m", "messages": HELLO, **fields})).usage
        assert usage is not None
        return usage.total_tokens

    def stream(self, **fields: Any) -> str:
        async def read() -> str:
            async with self.async_gateway.stream(**{"model": "m", "messages": HELLO, **fields}) as chunks:
                return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

        return self._run(read())

    def leave(self, **fields: Any) -> None:
        async def begin() -> None:
            async with self.async_gateway.stream(**{"model": "m", "messages": HELLO, **fields}) as chunks:
                await chunks.__anext__()

        self._run(begin())

    def usage(self, **only: Any) -> list[UsageRow]:
        return self._run(self.async_gateway.usage(**only))

    def balances(self, id: str, scope: Scope) -> list[Balance]:
        return self._run(self.async_gateway.balances(id, scope))

    def close(self) -> None:
        self._run(self.async_gateway.close())
        self.runner.close()


EitherCalls = Calls | AsyncCalls
Kind = type[Calls] | type[AsyncCalls]


@pytest.fixture(params=[Calls, AsyncCalls], ids=["blocking", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def calls(kind: Kind) -> Iterator[EitherCalls]:
    made = kind(settings())
    yield made
    made.close()


def spent(calls: EitherCalls, id: str, scope: Scope = "key") -> tuple[int, int]:
    [balance] = calls.balances(id, scope)
    return balance.spent, balance.reserved


def test_a_key_is_charged(calls: EitherCalls) -> None:
    assert calls.complete(key=KEY) == 6
    assert calls.stream(key=KEY) == "hello me"
    calls.leave(key=KEY)
    [row] = calls.usage(key="team")
    assert (row.requests, row.estimated) == (3, 1)
    assert row.prompt_tokens >= 12
    assert spent(calls, "team") == (row.cost_nano, 0)
    assert row.cost_nano > 2 * COST


def test_a_key_is_limited(calls: EitherCalls) -> None:
    for _ in range(2):
        calls.complete(key=KEY)
        calls.stream(key=KEY)
    for call in (calls.complete, calls.stream):
        with pytest.raises(RateLimitError, match=r"on requests per hour \(RPH\): Limit 4, Used 4, Requested 1\.") as caught:
            call(key=KEY)
        error = caught.value
        assert (error.status, error.type, error.code) == (429, "requests", "rate_limit_exceeded")
        assert dict(error.headers)["x-ratelimit-remaining-requests"] == "0"


def test_a_caller_is_charged(calls: EitherCalls) -> None:
    ada = Caller("ada", budget=Budget(usd=Decimal("0.07"), period="total"))
    assert calls.complete(caller=ada) == 6
    for call in (calls.complete, calls.stream):
        with pytest.raises(BudgetExceededError, match=r"this caller has spent \$0\.008 of its \$0\.07 total budget") as caught:
            call(caller=ada, max_tokens=20)
        assert (caught.value.status, caught.value.code) == (429, "insufficient_quota")
        assert dict(caught.value.headers)["x-should-retry"] == "false"
    assert spent(calls, "ada", "caller") == (COST, 0)


def test_the_app_itself_is_counted(calls: EitherCalls) -> None:
    calls.complete()
    [row] = calls.usage()
    assert (row.group, row.requests, row.cost_nano) == ("", 1, COST)


def test_a_request_that_is_not_valid_costs_nothing(calls: EitherCalls) -> None:
    with pytest.raises(InvalidRequestError):
        calls.stream(key=KEY, temperature=9)
    assert calls.usage() == []


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], type[GatewayError], str]] = {
    "max-cost": ({"max_cost": "0.01"}, {}, InvalidRequestError, "max_cost_exceeded"),
    "unpriced": ({}, {"model": "unpriced", "key": KEY}, PermissionDeniedError, "model_not_priced"),
    "deny": ({"unpriced": "deny"}, {"model": "unpriced"}, PermissionDeniedError, "model_not_priced"),
}
"""Settings, arguments, and the error."""


@pytest.mark.parametrize(("more", "fields", "error", "code"), REFUSED.values(), ids=REFUSED)
def test_refused_for_the_price(kind: Kind, more: dict[str, Any], fields: dict[str, Any], error: type[GatewayError], code: str) -> None:
    calls = kind(settings(**more))
    for call in (calls.complete, calls.stream):
        with pytest.raises(error) as caught:
            call(**fields)
        assert caught.value.code == code
    assert calls.usage() == []
    calls.close()


def test_a_model_without_a_price_may_be_free(kind: Kind) -> None:
    calls = kind(settings(unpriced="free"))
    assert calls.complete(model="unpriced", key=KEY) == 6
    [row] = calls.usage()
    assert (row.prompt_tokens, row.cost_nano) == (4, 0)
    calls.close()


def test_the_hook_is_told(kind: Kind) -> None:
    alerts: list[BudgetAlert] = []
    calls = kind(settings(), on_budget=alerts.append)
    ada = Caller("ada", budget=Budget(usd=Decimal("0.045"), period="total"))
    for _ in range(2):
        calls.complete(caller=ada, max_tokens=1)
    for _ in range(2):
        with pytest.raises(BudgetExceededError):
            calls.complete(caller=ada, max_tokens=1)
    assert alerts == [BudgetAlert("caller", "ada", "total", Decimal("0.045"), Decimal("0.016"), 35, refused=True)]
    calls.close()


def test_who_has_no_tenant_is_in_none(kind: Kind) -> None:
    """A key or user called like a tenant has nothing of the tenant's, nor of a key's or user's with the same name."""
    tenants = {"acme": {"limits": {"requests": "1/hour"}, "budget": {"usd": "1", "period": "total"}}}
    keys = {"acme": {"secret": KEY, "budget": {"usd": "2", "period": "total"}}}
    calls = kind(settings(tenants=tenants, keys=keys, callers={"budget": {"usd": "3", "period": "total"}}))
    for _ in range(2):
        calls.complete(caller="acme")
        calls.complete(key=KEY)
    calls.complete(caller=Caller("ada", tenant="acme"))
    with pytest.raises(RateLimitError, match="in organization acme on requests"):
        calls.complete(caller=Caller("bob", tenant="acme"))
    assert [spent(calls, "acme", scope) for scope in get_args(Scope)] == [(2 * COST, 0), (2 * COST, 0), (COST, 0)]
    assert [(row.group, row.scope, row.requests) for row in calls.usage()] == [
        ("acme", "caller", 2),
        ("acme", "key", 2),
        ("ada", "caller", 1),
    ]
    assert {row.group: row.requests for row in calls.usage(by="tenant")} == {"": 4, "acme": 1}
    assert [row.requests for row in calls.usage(caller="acme")] == [row.requests for row in calls.usage(key="acme")] == [2]
    calls.close()


NAMES = ["a", "a:requests:3600", "a/b", "a%2Fb", "{a}", "a*", "*", "a\n", "tenant:a", "caller:a", "á", "A"]


def test_callers_with_any_names_are_apart(calls: EitherCalls) -> None:
    """One request for each, as a key, as a caller, and its tenant's (docs/promises.md, Limits)."""
    rules: dict[str, Any] = {"limits": Limits(requests="1/hour"), "budget": Budget(usd=Decimal(1), period="total")}
    scopes: tuple[Literal["key", "caller"], ...] = ("key", "caller")
    callers = [Caller(name, scope=scope, **rules) for name in NAMES for scope in scopes]
    for caller in callers:
        calls.complete(caller=caller)
    for caller in callers:
        with pytest.raises(RateLimitError):
            calls.complete(caller=caller)
        assert spent(calls, caller.id, caller.scope) == (COST, 0)
