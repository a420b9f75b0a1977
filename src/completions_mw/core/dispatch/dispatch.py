"""From targets to an answer: they are asked in their order, until one begins to answer.

Nothing is asked again once the first byte of an answer is there: one request has at most one answer (docs/promises.md, Targets and
fallback).
"""

import secrets
from collections.abc import Sequence
from functools import partial

from completions_mw.core.context import RequestContext
from completions_mw.core.costs.tokens import estimate_usage, is_usage, size_of
from completions_mw.core.dispatch.targets import Target
from completions_mw.core.keys.caller import Caller, nested
from completions_mw.core.streaming.chunks import OpenedAnswer, opened
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.core.telemetry.observer import Observer
from completions_mw.core.validation.request import Chat
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.http import ClientConnection
from completions_mw.providers.base import Completion


class Dispatcher:
    """Asks targets for an answer.

    Args:
        observer: told of each target that fails.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def answer(
        self,
        context: RequestContext,
        targets: Sequence[Target],
        name: str,
        chat: Chat,
        caller: Caller | None,
        connection: ClientConnection | None,
    ) -> Completion | OpenedAnswer:
        """Return the answer of the first target that gives one: whole, or streamed with its first chunks already there.

        Args:
            context: of the request; `target`, `usage` and the like are set.
            targets: in the order in which they are asked.
            name: of the model, as the client calls it.
            chat: the request.
            caller: who asks; None for the host app itself.
            connection: of the client, which may leave while a target is asked.

        Raises:
            GatewayError: the last target's failure, or one that no other target would mend.
        """
        for target in targets:
            context.target = target.name
            if target.is_local and caller is not None:
                chat.request.asked_by(nested(caller, context))
            try:
                if chat.stream:
                    return await _stream(context, target, name, chat, connection)
                return _finished(context, await target.complete(chat, connection), target, name, chat)
            except GatewayError as error:
                if not isinstance(error, ClientDisconnectedError):
                    self._observer.failed("target", context, error)
                if target is targets[-1] or not error.next_target:
                    raise
        raise AssertionError("a model has at least one target")


async def _stream(context: RequestContext, target: Target, name: str, chat: Chat, connection: ClientConnection | None) -> OpenedAnswer:
    grammar = ChunkGrammar(
        id=_answer_id(),
        created=int(context.clock.time()),
        model=name,
        renamed=target.is_local or target.model != name,
        include_usage=chat.include_usage,
        n=chat.n,
        estimate=partial(estimate_usage, chat.request),
    )
    answer = await opened(await target.open(chat, connection), grammar)
    context.first_ms = context.milliseconds()
    return answer


def _finished(context: RequestContext, completion: Completion, target: Target, name: str, chat: Chat) -> Completion:
    """Fill in what OpenAI's schema requires and the target left out; an answer that has it all keeps its bytes."""
    data = completion.data
    if not (data.get("id") and data.get("object") and data.get("created") and data.get("model")):
        given = {field: value for field, value in data.items() if value is not None}
        data = {"id": _answer_id(), "object": "chat.completion", "created": int(context.clock.time()), "model": name, **given}
    # A model in this process may hand on the answer of another one, whose name is not for its clients.
    if data["model"] != name and (target.is_local or target.model != name):
        data = {**data, "model": name}
    if not is_usage(data.get("usage")):
        context.estimated = True
        size = sum(size_of(choice.get("message") or {}) for choice in data["choices"])
        data = {**data, "usage": estimate_usage(chat.request, size)}
    context.usage = data["usage"]
    context.finish_reason = data["choices"][-1].get("finish_reason")
    return completion if data is completion.data else Completion(data)


def _answer_id() -> str:
    return f"chatcmpl-{secrets.token_hex(14)}"
