"""From a model to an answer: its targets are tried in order until one begins to answer.

Nothing is tried again once the first byte of an answer is there: one request has at most one answer (FAULTS section 1, promise 8).
"""

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from completions_mw.core.context import RequestContext
from completions_mw.core.costs.tokens import estimate_usage, is_usage, size_of
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.dispatch.targets import Target
from completions_mw.core.streaming.chunks import ChunkStream
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.core.validation.request import Chat
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.http import ClientConnection
from completions_mw.providers.base import Completion

T = TypeVar("T")


async def complete(model: CatalogModel, chat: Chat, exchange: RequestContext, connection: ClientConnection | None) -> Completion:
    """Return the whole answer of the first target that gives one.

    Raises:
        GatewayError: the last target's failure, or one that no other target would mend.
    """

    async def attempt(target: Target) -> Completion:
        return _finished(await target.complete(chat, connection), model.name, target, chat, exchange)

    return await _first_to_answer(model, attempt, exchange)


async def stream(model: CatalogModel, chat: Chat, exchange: RequestContext, connection: ClientConnection | None) -> ChunkStream:
    """Return the answer of the first target that begins one, its first event already there.

    Raises:
        GatewayError: the last target's failure, or one that no other target would mend.
    """

    async def attempt(target: Target) -> ChunkStream:
        grammar = ChunkGrammar(
            id=_answer_id(),
            created=int(exchange.clock.time()),
            model=model.name,
            renamed=target.model != model.name,
            include_usage=chat.include_usage,
            n=chat.n,
            estimate=partial(estimate_usage, chat.request),
        )
        chunks = ChunkStream(await target.open(chat, connection), grammar)
        await chunks.prime()
        exchange.first_ms = exchange.milliseconds()
        return chunks

    return await _first_to_answer(model, attempt, exchange)


async def _first_to_answer(model: CatalogModel, attempt: Callable[[Target], Awaitable[T]], exchange: RequestContext) -> T:
    for target in model.targets:
        exchange.target = target.name
        try:
            return await attempt(target)
        except GatewayError as error:
            if not isinstance(error, ClientDisconnectedError):
                exchange.log_upstream_failure(target.name, error)
            if target is model.targets[-1] or not error.next_target:
                raise
    raise AssertionError("a model has at least one target")


def _finished(completion: Completion, name: str, target: Target, chat: Chat, exchange: RequestContext) -> Completion:
    """Fill in what SPEC section 7 requires and the target left out; an answer that has it all keeps its bytes."""
    data = completion.data
    if not (data.get("id") and data.get("object") and data.get("created") and data.get("model")):
        given = {field: value for field, value in data.items() if value is not None}
        data = {"id": _answer_id(), "object": "chat.completion", "created": int(exchange.clock.time()), "model": name, **given}
    if target.model != name and data["model"] != name:
        data = {**data, "model": name}
    if not is_usage(data.get("usage")):
        exchange.estimated = True
        size = sum(size_of(choice.get("message") or {}) for choice in data["choices"])
        data = {**data, "usage": estimate_usage(chat.request, size)}
    exchange.usage = data["usage"]
    exchange.finish_reason = data["choices"][-1].get("finish_reason")
    return completion if data is completion.data else Completion(data)


def _answer_id() -> str:
    return f"chatcmpl-{secrets.token_hex(14)}"
