"""A cache between admission and reservation is added without touching the pipeline's steps."""

import asyncio
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest

from completions_mw import Budget, Caller, Limits, RateLimitError
from completions_mw.blocking import run_sync
from completions_mw.core.cache import Lookup
from completions_mw.core.context import RequestContext
from completions_mw.core.dispatch.targets import Target
from completions_mw.core.ports import EventSource
from completions_mw.core.validation import Chat
from completions_mw.http import ClientConnection
from completions_mw.providers.base import Completion
from completions_mw.sse import DONE, Event
from tests.support.charging import Charging, read

CALLER = Caller(
    "ada",
    limits=Limits(requests="3/hour", tokens="1000/hour", concurrency=1),
    budget=Budget(usd=Decimal("1"), period="total"),
)


class Replay:
    """The events of a stored answer."""

    def __init__(self, completion: Completion) -> None:
        message = completion.data["choices"][0]["message"]
        choice = {"index": 0, "delta": {"content": message["content"]}, "finish_reason": "stop"}
        self._batches = [[Event({"choices": [choice], "usage": completion.data["usage"]})], [DONE]]

    async def __anext__(self) -> list[Event]:
        if not self._batches:
            raise StopAsyncIteration
        return self._batches.pop(0)

    async def finish(self) -> None: ...

    async def aclose(self) -> None: ...


class Stored:
    """A target that gives a stored answer."""

    name, model, is_local = "cache/stored", "stored", False

    def __init__(self, completion: Completion) -> None:
        self._completion = completion

    async def complete(self, chat: Chat, connection: ClientConnection | None) -> Completion:
        return self._completion

    async def open(self, chat: Chat, connection: ClientConnection | None) -> EventSource:
        return Replay(self._completion)


class Recorded:
    """A target whose whole answer is stored."""

    is_local = True

    def __init__(self, target: Target, entries: dict[str, Completion], key: str) -> None:
        self._target, self._entries, self._key = target, entries, key
        self.name, self.model = target.name, target.model

    async def complete(self, chat: Chat, connection: ClientConnection | None) -> Completion:
        completion = self._entries[self._key] = await self._target.complete(chat, connection)
        return completion

    async def open(self, chat: Chat, connection: ClientConnection | None) -> EventSource:
        return await self._target.open(chat, connection)


class FakeCache:
    """Answers the same text of the same caller from memory."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.entries: dict[str, Completion] = {}
        self._error = error

    def covers(self, chat: Chat, model: str) -> bool:
        return True

    async def look_up(self, context: RequestContext, chat: Chat, caller: Caller | None, targets: Sequence[Target]) -> Lookup:
        if self._error is not None:
            raise self._error
        key = f"{caller and caller.id}:{chat.request.messages[-1].text}"
        hit = self.entries.get(key)
        context.headers = (*context.headers, ("x-cache", "hit" if hit else "miss"))
        return Lookup([Stored(hit)], True) if hit else Lookup([Recorded(target, self.entries, key) for target in targets], False)


def words(_: object) -> Iterator[Any]:
    yield "one two"
    yield {"usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}


def asked(charging: Charging) -> int:
    """Return how many tokens the caller has been charged for."""
    usage = charging.usage(CALLER)
    return 0 if usage is None else usage.cost_nano


def test_a_miss_is_admitted_reserved_and_stored() -> None:
    charging = Charging(words, cache=FakeCache())
    charging.complete(CALLER)
    spent = charging.balance(CALLER).spent
    assert spent == asked(charging) > 0
    assert [call[0] for call in charging.faults.of("admit")][1].endswith(":tokens")
    assert charging.free_places(CALLER) == 1


def test_a_hit_costs_a_request_and_no_money() -> None:
    charging = Charging(words, cache=FakeCache())
    first = charging.complete(CALLER)
    spent = charging.balance(CALLER).spent
    again = charging.complete(CALLER)
    assert again.data["choices"] == first.data["choices"]
    assert (charging.balance(CALLER).spent, charging.balance(CALLER).reserved) == (spent, 0)
    usage = charging.usage(CALLER)
    assert usage is not None
    assert usage.requests == 2
    charging.complete(CALLER)
    with pytest.raises(RateLimitError):
        charging.complete(CALLER)


def test_a_hit_answers_a_stream_too() -> None:
    charging = Charging(words, cache=FakeCache())
    charging.complete(CALLER)
    spent = charging.balance(CALLER).spent
    assert read(charging.stream(CALLER)) > 0
    assert (charging.balance(CALLER).spent, charging.free_places(CALLER)) == (spent, 1)


def test_callers_do_not_share() -> None:
    cache = FakeCache()
    charging = Charging(words, cache=cache)
    charging.complete(CALLER)
    charging.complete(Caller("eve"))
    assert len(cache.entries) == 2


@pytest.mark.parametrize("error", [RuntimeError("canary"), asyncio.CancelledError()], ids=["fault", "cancelled"])
def test_nothing_is_held_where_the_look_up_breaks_off(error: BaseException) -> None:
    charging = Charging(words, cache=FakeCache(error))
    with pytest.raises(type(error)):
        charging.complete(CALLER)
    assert (charging.free_places(CALLER), charging.usage(CALLER)) == (1, None)


def test_nothing_is_held_where_the_reservation_is_refused() -> None:
    poor = Caller("ada", limits=Limits(concurrency=1), budget=Budget(usd=Decimal("0.000001"), period="total"))
    charging = Charging(words, cache=FakeCache())
    with pytest.raises(RateLimitError):
        charging.complete(poor)
    assert (charging.free_places(poor), charging.usage(poor)) == (1, None)


def test_without_a_cache_the_stores_are_asked_once() -> None:
    charging = Charging(words)
    run_sync(charging.pipeline.complete({"model": "m", "messages": [{"role": "user", "content": "hi"}]}, CALLER))
    assert len(charging.faults.of("admit")) == 1
