"""Dispatch: from the route of a model to an answer of one of its targets."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from completions_mw.core.context import RequestContext
from completions_mw.core.dispatch.attempts import Attempts
from completions_mw.core.dispatch.parameters import unable
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import CallOptions, Target
from completions_mw.core.keys.caller import Caller
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.http import ClientConnection

RequestT = TypeVar("RequestT", bound=ValidRequest)
AnswerT = TypeVar("AnswerT")
AskTarget = Callable[[str, RequestT, Caller | None, RequestContext, Target, CallOptions], Awaitable[AnswerT]]
"""Asks one target: gets the model name that the client asked for, the request, its caller, its context, the target and the options."""


class Dispatcher(Generic[RequestT, AnswerT]):
    """Gets the answers to requests of one kind from the targets of their models.

    Args:
        attempts: asks targets until one answers.
        ask: asks one of them for an answer of this kind.
    """

    def __init__(self, attempts: Attempts, ask: AskTarget[RequestT, AnswerT]) -> None:
        self._attempts = attempts
        self._ask = ask

    async def answer(
        self,
        context: RequestContext,
        route: Route,
        name: str,
        request: RequestT,
        caller: Caller | None,
        connection: ClientConnection | None,
    ) -> AnswerT:
        """Return the first target's answer.

        Args:
            context: request context; its `target`, `dropped` and `usage` are set.
            route: targets that may be asked.
            name: model name that the client asked for.
            request: the request.
            caller: the caller; None for the host app itself.
            connection: connection of the client, who may leave while a target is asked.

        Raises:
            InvalidRequestError: no target takes the request's parameters.
            GatewayError: the last target failed, or a target failed in a way that another one cannot fix.
        """
        skipped = unable(route.targets, request)
        # Not a closure: its cells would wait for the answer with every request.
        ask = partial(self._ask, name, request, caller)
        return await self._attempts.answer(context, route, CallOptions.of(connection, caller), ask, skipped)
