"""Dispatch of embeddings requests: from a model's targets to an answer with vectors."""

from functools import partial

from completions_mw.core.answers.embeddings import complete_embeddings
from completions_mw.core.answers.usage import find_usage
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.tokens import estimate_embeddings, usage_object
from completions_mw.core.dispatch.attempts import Attempts
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import Asking, Target
from completions_mw.core.keys.caller import Caller, nested
from completions_mw.core.validation.embeddings import Embed
from completions_mw.http import ClientConnection
from completions_mw.providers.base import Completion


class Embedder:
    """Gets the answers to embeddings requests from the targets of their models.

    Args:
        attempts: asks targets until one answers.
    """

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    async def answer(
        self,
        context: RequestContext,
        route: Route,
        name: str,
        request: Embed,
        caller: Caller | None,
        connection: ClientConnection | None,
    ) -> Completion:
        """Return the first target's answer.

        Args:
            context: request context; its `target` and `usage` are set.
            route: targets that may be asked.
            name: model name that the client asked for.
            request: the request.
            caller: the caller; None for the host app itself.
            connection: connection of the client, who may leave while a target is asked.

        Raises:
            GatewayError: the last target failed, or a target failed in a way that another one cannot mend.
        """
        scope = "" if caller is None else f"{caller.scope}:{caller.id}"
        ask = partial(_ask, name, request, caller)
        return await self._attempts.answer(context, route, Asking(connection, scope), ask)


async def _ask(name: str, request: Embed, caller: Caller | None, context: RequestContext, target: Target, asking: Asking) -> Completion:
    if target.is_local and caller is not None:
        request.request.asked_by(nested(caller, context))
    return _finished(context, await target.embed(request, asking), target, name, request)


def _finished(context: RequestContext, answer: Completion, target: Target, name: str, request: Embed) -> Completion:
    """Put an answer right, and estimate its usage if the target reports none; an answer that is right keeps its bytes.

    Raises:
        UpstreamError: the vectors do not fit the request.
        InvalidRequestError: the vectors have other dimensions than the client asked for.
    """
    usage = find_usage(answer.data)
    if usage is None or not usage["total_tokens"]:
        context.estimated = True
        usage = usage_object(estimate_embeddings(request).prompt, 0)
    # Known before the answer is looked at, since the upstream bills also what does not fit.
    context.usage = usage
    completed = complete_embeddings(answer, request, name)
    told = {name: usage[name] for name in ("prompt_tokens", "total_tokens")}
    given = completed.data.get("usage")
    if isinstance(given, dict) and given.items() >= told.items():
        return completed
    return Completion({**completed.data, "usage": told})
