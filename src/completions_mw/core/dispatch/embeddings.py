"""Asks a target for embeddings."""

from collections.abc import Sequence
from typing import Any, Final

from completions_mw.core.answers.embeddings import complete_embeddings
from completions_mw.core.answers.usage import find_usage
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.tokens import estimate_embeddings, usage_object
from completions_mw.core.dispatch.batches import batches_of, joined
from completions_mw.core.dispatch.failures import is_charged
from completions_mw.core.dispatch.targets import CallOptions, Target
from completions_mw.core.keys.caller import Caller, nested
from completions_mw.core.validation.embeddings import Embed
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.providers.base import Completion

MIN_SECONDS: Final = 0.001
"""Seconds for a batch for which no time is left, so that it fails as one that is late."""


async def ask_embeddings(
    name: str, request: Embed, caller: Caller | None, context: RequestContext, target: Target, options: CallOptions
) -> Completion:
    """Ask a target for a vector for each input, in several calls if it takes fewer inputs at once.

    Args:
        name: model name that the client asked for.
        request: the request.
        caller: the caller; None for the host app itself.
        context: request context; its `dropped` and `usage` are set.
        target: the target.
        options: for whom the target is asked, and in how much time.

    Raises:
        GatewayError: the target gives no answer.
    """
    if target.is_local and caller is not None:
        request.request.asked_by(nested(caller, context))
    fitted = request if target.params is None else target.params.fit(request)
    context.dropped = fitted.dropped
    clock = context.clock
    until = clock.monotonic() + (target.total if options.seconds is None else options.seconds)
    answers: list[Completion] = []
    try:
        for batch in batches_of(fitted, target.max_inputs):
            if answers:
                options = options._replace(seconds=max(until - clock.monotonic(), MIN_SECONDS))
            answers.append(await target.embed(batch, options))
    except GatewayError as error:
        if answers:
            # The batches before are billed, so they are charged, and another target is asked only where `fallback_on` wants it.
            is_lost = is_charged(error) or isinstance(error, ClientDisconnectedError)
            error.usage = _billed(answers, batch if is_lost else None)
            error.next_target, error.received = False, error.received or 0
        raise
    return _finished(context, joined(answers), name, request)


def _billed(answers: Sequence[Completion], lost: Embed | None) -> dict[str, Any] | None:
    """Return the usage of a request of which not all batches were answered; None if a target has not reported that of an answer.

    Args:
        answers: answers to the batches before the one that failed.
        lost: the batch that failed, if the target may bill it: it counts as estimated.
    """
    usage = find_usage(joined(answers).data)
    if usage is None or lost is None:
        return usage
    return usage_object(usage["prompt_tokens"] + estimate_embeddings(lost).prompt, 0)


def _finished(context: RequestContext, answer: Completion, name: str, request: Embed) -> Completion:
    """Correct an answer, and estimate its usage if the target reports none; an answer that is right keeps its bytes.

    Raises:
        UpstreamError: the vectors do not fit the request.
        InvalidRequestError: the vectors have other dimensions than the client asked for.
    """
    usage = find_usage(answer.data)
    context.estimated = usage is None or not usage["total_tokens"]
    if usage is None or context.estimated:
        usage = usage_object(estimate_embeddings(request).prompt, 0)
    try:
        completed = complete_embeddings(answer, request, name)
    except GatewayError as error:
        # The upstream bills also what does not fit.
        error.maybe_billed, error.usage = True, usage
        raise
    context.usage = usage
    told = {name: usage[name] for name in ("prompt_tokens", "total_tokens")}
    given = completed.data.get("usage")
    if isinstance(given, dict) and given.items() >= told.items():
        return completed
    return Completion({**completed.data, "usage": told})
