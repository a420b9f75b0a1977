"""What a whole request costs in Redis: one round trip to be let in, one to be finished."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any, NamedTuple

import pytest

from completions_mw import AsyncGateway, Gateway, Settings
from completions_mw.http import Request
from tests.support.admission import PATIENT
from tests.support.redis_server import RedisServer
from tests.support.whole_answer import whole_answer

KEY = "sk-round-trips-0123456789"
SCRIPTS = {
    hashlib.sha1(files("completions_mw.backends.redis").joinpath(f"{name}.lua").read_bytes(), usedforsecurity=False).hexdigest(): name
    for name in ("admit", "finish", "renew")
}
RATES = {"requests": "1000/minute", "tokens": "1000000/minute"}
NOT_OF_REQUESTS = {"PING", "INFO"}
"""The upkeep asks Redis once how it is set up."""


class Case(NamedTuple):
    """Rules of the key, and what a request of it costs after a first one."""

    rules: dict[str, Any]
    stream: bool
    status: int
    trips: list[str]


BUDGET = {"usd": "0.000001", "period": "total"}
CASES = {
    "json": Case({"limits": {**RATES, "concurrency": 3}}, False, 200, ["admit", "finish"]),
    "stream": Case({"limits": {**RATES, "concurrency": 3}}, True, 200, ["admit", "finish"]),
    "tokens-json": Case({"limits": {"tokens": "1000000/minute"}}, False, 200, ["admit", "finish"]),
    "requests-json": Case({"limits": {"requests": "1000/minute"}}, False, 200, ["admit"]),
    "requests-stream": Case({"limits": {"requests": "1000/minute"}}, True, 200, ["admit"]),
    "unlimited": Case({}, False, 200, []),
    "refused-json": Case({"limits": {**RATES, "requests": "1/minute", "concurrency": 3}}, False, 429, ["admit"]),
    "refused-stream": Case({"limits": {**RATES, "requests": "1/minute", "concurrency": 3}}, True, 429, ["admit"]),
    "too-large": Case({"limits": {"requests": "1000/minute", "tokens": "5/minute"}}, False, 429, ["admit"]),
    "over-budget": Case({"limits": {**RATES, "concurrency": 3}, "budget": BUDGET}, False, 429, ["admit", "finish"]),
    "over-budget-without-places": Case({"limits": {"requests": "1000/minute"}, "budget": BUDGET}, False, 429, ["admit"]),
}


def settings(server: RedisServer, rules: dict[str, Any]) -> Settings:
    return Settings.from_mapping(
        {
            "providers": {"echo": {"api": "echo"}},
            "models": {"echo": {"targets": ["echo/echo"], "prices": {"input": "1", "output": "1"}}},
            "keys": {"team": {"secret": KEY, **rules}},
            "stores": {"admission": server.url + PATIENT, **({"ledger": "memory://"} if "budget" in rules else {})},
        }
    )


def request(stream: bool) -> Request:
    fields = {"model": "echo", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 20, "stream": stream}
    body = json.dumps(fields).encode()
    headers = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"), ("content-length", str(len(body))))
    return Request("POST", "/api/v1/chat/completions", headers, body)


def blocking(settings: Settings, streams: list[bool], before_each: Callable[[], object]) -> int:
    """Send requests, one after the other, and return the status of the last."""
    with Gateway(settings) as gateway:
        for stream in streams:
            before_each()
            response = gateway.handle(request(stream))
            if not isinstance(response.body, bytes):
                with response.body as body:
                    assert b"[DONE]" in b"".join(body)
    return response.status


def asynchronous(settings: Settings, streams: list[bool], before_each: Callable[[], object]) -> int:
    async def send() -> int:
        async with AsyncGateway(settings) as gateway:
            for stream in streams:
                before_each()
                status, _, _ = await whole_answer(await gateway.handle(request(stream)))
        return status

    return asyncio.run(send())


Run = Callable[[Settings, list[bool], Callable[[], object]], int]


@pytest.mark.parametrize("run", [blocking, asynchronous])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_round_trips_of_a_request(redis_server: RedisServer, case: Case, run: Run) -> None:
    with redis_server.monitor() as monitor:
        # The first one connects and loads the scripts; it is not counted.
        status = run(settings(redis_server, case.rules), [False, case.stream], monitor.commands)
        words = [command.split() for command in monitor.commands()]
    assert status == case.status
    assert [SCRIPTS.get(word[1], word[0]) for word in words if word[0] not in NOT_OF_REQUESTS] == case.trips
