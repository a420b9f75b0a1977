"""The hook for semantic caching: the host app finds answers to similar requests (docs/caching.md, Semantic caching)."""

import inspect
from collections.abc import Mapping
from typing import Any, Final, Protocol

from completions_mw.core.answers.completion import complete_answer, is_interrupted, new_answer_id
from completions_mw.core.answers.usage import find_usage
from completions_mw.core.cache.policy import CachePlan
from completions_mw.core.cache.recording import whole_answer
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.tokens import estimate_usage, size_of
from completions_mw.core.ports import StoredAnswer
from completions_mw.core.telemetry.log import log_exception
from completions_mw.core.validation.request import Chat
from completions_mw.providers.base import Completion
from completions_mw.schemas import ChatCompletion, ChatRequest

SEMANTIC_TARGET: Final = "cache/semantic"
"""Name of the target in logs and in the ledger."""


class SemanticCache(Protocol):
    """A cache of the host app, asked if no identical request was answered. Its methods may be sync, or async in an `AsyncGateway`."""

    def lookup(self, request: ChatRequest, scope: str) -> Any:
        """Return the answer to a similar request of the same scope, as a `ChatCompletion` or a dict; None if there is none.

        Args:
            request: the request.
            scope: scope within which answers may be shared, as `tenant:acme`. An answer of another scope must never be returned.
        """
        ...

    def store(self, request: ChatRequest, scope: str, answer: ChatCompletion) -> Any:
        """Keep an answer for similar requests of the same scope. Called only for answers that may be cached.

        Args:
            request: the request.
            scope: scope within which the answer may be shared.
            answer: the answer.
        """
        ...


class GuardedSemanticCache:
    """The host app's cache, whose exceptions are logged and count as a miss.

    Args:
        hook: the cache of the host app.
    """

    def __init__(self, hook: SemanticCache) -> None:
        self._hook = hook

    async def lookup(self, context: RequestContext, chat: Chat, plan: CachePlan) -> StoredAnswer | None:
        """Return the answer to a similar request; None if there is none, or the hook fails or returns something else."""
        # Nothing tells the age of the answer that the hook would give.
        if plan.control.no_cache or plan.control.max_age is not None:
            return None
        try:
            found = self._hook.lookup(chat.request, plan.key.scope)
            if inspect.isawaitable(found):
                found = await found
            if found is None:
                return None
            return whole_answer(_completed(found, chat, int(context.clock.time())), chat, SEMANTIC_TARGET)
        except Exception as error:
            log_exception("hook_failed", error, debug=context.debug, hook="semantic_cache", request_id=context.id)
            return None

    async def store(self, context: RequestContext, chat: Chat, plan: CachePlan, answer: Mapping[str, Any]) -> None:
        """Let the host app keep an answer."""
        try:
            stored = self._hook.store(chat.request, plan.key.scope, ChatCompletion.model_validate(answer))
            if inspect.isawaitable(stored):
                await stored
        except Exception as error:
            log_exception("hook_failed", error, debug=context.debug, hook="semantic_cache", request_id=context.id)


def _completed(found: Any, chat: Chat, now: int) -> Completion:
    """Return the answer of a hook, with the members that it leaves out; its usage is estimated where it is none.

    Raises:
        ValidationError: it is no completion.
        ValueError: it has no choices, or is a part of an answer.
    """
    data = found.model_dump(mode="json", exclude_unset=True) if isinstance(found, ChatCompletion) else dict(found)
    ChatCompletion.model_validate(data, strict=True)
    data = complete_answer({**data, "model": chat.model}, new_id=new_answer_id, created=now, model=chat.model, is_forced=chat.forces_call)
    if not data["choices"] or is_interrupted(data):
        raise ValueError("not a complete answer")
    usage = find_usage(data) or estimate_usage(chat.request, sum(size_of(choice["message"]) for choice in data["choices"]))
    return Completion({**data, "usage": usage})
