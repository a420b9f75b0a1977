"""In-process models under both kinds of gateways: a test is an `async def` scenario, and each kind runs it in its own way."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol, TypeVar

import pytest

from completions_mw.backends.models import (
    AsyncFunctionModel,
    AsyncLlamaCppModel,
    BlockingFunctionModel,
    BlockingLlamaCppModel,
)
from completions_mw.blocking import run_sync
from completions_mw.core.ports import EventSource, Model, ModelFunction
from completions_mw.schemas import ChatRequest
from completions_mw.settings import LlamaCppSettings
from completions_mw.sse import DONE, Event

T = TypeVar("T")
Scenario = Callable[[], Coroutine[Any, Any, T]]


class Runner(Protocol):
    def __call__(self, scenario: Scenario[T]) -> T: ...


class Kind(NamedTuple):
    """One way to run models."""

    run: Runner
    function: Callable[[ModelFunction, float], Model]
    llama_cpp: Callable[[LlamaCppSettings, float], Model]


def _blocking(scenario: Scenario[T]) -> T:
    return run_sync(scenario())


def _asyncio(scenario: Scenario[T]) -> T:
    return asyncio.run(scenario())


BLOCKING = Kind(_blocking, BlockingFunctionModel, BlockingLlamaCppModel)
ASYNCIO = Kind(_asyncio, AsyncFunctionModel, AsyncLlamaCppModel)

every_kind = pytest.mark.parametrize("kind", [BLOCKING, ASYNCIO], ids=["blocking", "asyncio"])
ENVELOPE = {"id": "chatcmpl-1", "created": 1, "model": "m"}
"""What the core adds to a model's answer."""


def chat(content: Any = "hello", **fields: Any) -> ChatRequest:
    """Return a request with one user message, or with the messages given."""
    messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
    return ChatRequest.model_validate({"model": "m", "messages": messages, **fields})


async def events_of(stream: EventSource) -> list[Event]:
    """Return all events of a stream."""
    events: list[Event] = []
    while True:
        try:
            events += await stream.__anext__()
        except StopAsyncIteration:
            return events


def complete(kind: Kind, model: Model, request: ChatRequest) -> dict[str, Any]:
    """Return a model's whole answer."""
    return kind.run(lambda: model.complete(request))


def chunks(kind: Kind, model: Model, request: ChatRequest) -> list[dict[str, Any]]:
    """Return a model's chunks; the answer must have ended with `DONE`."""

    async def scenario() -> list[Event]:
        return await events_of(await model.stream(request))

    *events, last = kind.run(scenario)
    assert last is DONE
    return [event.data for event in events]


def text_of(parts: list[dict[str, Any]], index: int = 0) -> str:
    """Return the text of one choice of a stream."""
    choices = [choice for part in parts for choice in part["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
