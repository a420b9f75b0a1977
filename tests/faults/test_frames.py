"""No local variable of ours shows a key, a password or a prompt: error pages and Sentry show all of them (docs/promises.md, Secrets)."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
import pytest
import redis
from pydantic_core import to_json

import completions_mw
from completions_mw import AsyncGateway, Gateway, GatewayError, Request, Settings
from completions_mw.core.ports import StoreError
from completions_mw.errors import ConfigurationError

OURS = tuple(str(Path(package.__file__ or "").parent) for package in (completions_mw, psycopg, redis))
KEY = "sk-canary-client-key"
UPSTREAM_KEY = "sk-canary-upstream-key"
PASSWORD = "canary-password"
PROMPT = "canary-of-a-prompt"
HEADERS = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"), ("x-note", "canary-in-a-header"))
MESSAGES = [{"role": "user", "content": PROMPT}]


def chained(error: BaseException | None) -> Iterator[BaseException]:
    """Return an exception and all that are chained to it."""
    seen: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        if one is not None and one not in seen:
            seen.append(one)
            left += [one.__cause__, one.__context__]
    yield from seen


def shown(error: BaseException | None) -> Iterator[tuple[str, str, str]]:
    """Return what an error page shows of our frames: for each local variable its place, its name and its repr."""
    for one in chained(error):
        traceback: TracebackType | None = one.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            traceback = traceback.tb_next
            if frame.f_code.co_filename.startswith(OURS) and not frame.f_locals.get("__traceback_hide__"):
                place = f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}"
                yield from ((place, name, repr(value)) for name, value in frame.f_locals.items())


def leaks(*errors: BaseException | None) -> list[tuple[str, str, str]]:
    return sorted({(place, name, text[:80]) for error in errors for place, name, text in shown(error) if "canary" in text})


class BugError(Exception):
    """A fault in somebody's code."""


def fails(*_: object) -> Any:
    raise BugError


class BrokenTransport:
    """A transport with a fault."""

    async def send(self, request: object) -> Any:
        raise BugError

    async def aclose(self) -> None: ...


TREE: dict[str, Any] = {
    "providers": {"up": {"api": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": UPSTREAM_KEY}},
    "models": {"m": {"targets": ["up/m"], "prices": {"input": 1, "output": 1}}},
    "keys": {"a": {"secret": KEY, "limits": {"requests": "100/hour"}, "budget": {"usd": "1", "period": "total"}}},
    "stores": {"ledger": "memory://"},
}
CLOSED = {"ledger": "memory://", "admission_failure": "closed"}
GATEWAYS: dict[str, Callable[[], tuple[dict[str, Any], dict[str, Any]]]] = {
    "login": lambda: ({**TREE, "keys": {}}, {"authenticate": fails}),
    "transport": lambda: (TREE, {"transport": BrokenTransport()}),
    "function": lambda: ({**TREE, "models": {"m": {"prices": {"input": 1, "output": 1}}}}, {"models": {"m": fails}}),
    "postgres": lambda: ({**TREE, "stores": {"ledger": f"postgresql://me:{PASSWORD}@127.0.0.1:9/db"}}, {}),
    "redis": lambda: (
        {**TREE, "stores": {**CLOSED, "admission": f"redis://:{PASSWORD}@127.0.0.1:9"}},
        {},
    ),
    "upstream": lambda: (TREE, {}),
}


class Raised(logging.Handler):
    """The exceptions that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.errors.append(record.exc_info[1])


@pytest.fixture
def raised() -> Iterator[Raised]:
    handler = Raised()
    logger = logging.getLogger("completions_mw")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("make", GATEWAYS.values(), ids=GATEWAYS)
def test_requests(make: Callable[[], tuple[dict[str, Any], dict[str, Any]]], stream: bool, raised: Raised) -> None:
    tree, options = make()
    body = to_json({"model": "m", "messages": MESSAGES, "stream": stream})
    with Gateway(Settings.from_mapping(tree), **options) as gateway:
        response = gateway.handle(Request("POST", "/api/v1/chat/completions", HEADERS, body))
        assert response.status >= 500
    assert leaks(*raised.errors) == []


@pytest.mark.parametrize("make", GATEWAYS.values(), ids=GATEWAYS)
def test_direct_calls(make: Callable[[], tuple[dict[str, Any], dict[str, Any]]], raised: Raised) -> None:
    tree, options = make()
    with Gateway(Settings.from_mapping({**tree, "keys": TREE["keys"]}), **options) as gateway:
        calls: list[Callable[[], object]] = [
            lambda: gateway.complete(model="m", messages=MESSAGES, key=KEY),
            lambda: list(gateway.stream(model="m", messages=MESSAGES, key=KEY)),
            lambda: gateway.complete(model="m", messages=MESSAGES, key=KEY + "-wrong"),
            lambda: gateway.complete(model="m", messages=MESSAGES, temperature=7, key=KEY),
        ]
        errors: list[BaseException] = []
        for call in calls:
            with pytest.raises(GatewayError) as caught:
                call()
            errors.append(caught.value)
        assert leaks(*errors, *raised.errors) == []


def test_async_direct_calls(raised: Raised) -> None:
    async def scenario() -> list[BaseException]:
        errors: list[BaseException] = []
        for make in GATEWAYS.values():
            tree, options = make()
            async with AsyncGateway(Settings.from_mapping({**tree, "keys": TREE["keys"]}), **options) as gateway:
                with pytest.raises(GatewayError) as caught:
                    await gateway.complete(model="m", messages=MESSAGES, key=KEY)
                errors.append(caught.value)
        return errors

    assert leaks(*asyncio.run(scenario()), *raised.errors) == []


def test_reports_and_keys(raised: Raised) -> None:
    with Gateway(Settings.from_mapping(GATEWAYS["postgres"]()[0])) as gateway:
        errors = []
        for call in (gateway.usage, lambda: gateway.keys.list(), lambda: gateway.keys.import_key("n", secret=KEY)):
            with pytest.raises((StoreError, GatewayError)) as caught:
                call()
            errors.append(caught.value)
    assert leaks(*errors, *raised.errors) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"keys": {"a": {"secret": KEY, "tennant": "x"}}},
        {"providers": {"up": {"api": "openai", "api_key": UPSTREAM_KEY, "colour": 1}}},
        {"stores": {"ledger": f"postgresql://me:{PASSWORD}@[::1"}},
        {"stores": {"admission": f"redis://:{PASSWORD}@127.0.0.1:9/?socket_timeout=much"}},
    ],
)
def test_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Gateway(Settings.from_mapping({**TREE, **wrong}))
    assert leaks(caught.value) == []
