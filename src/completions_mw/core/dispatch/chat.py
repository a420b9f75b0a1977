"""Asks a target for a chat completion: a whole one, or a stream that has begun."""

from functools import partial

from completions_mw.core.answers.completion import complete_answer, is_interrupted, new_answer_id
from completions_mw.core.answers.finish_reasons import interrupted_error
from completions_mw.core.answers.usage import find_usage
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.tokens import at_least, counts_answer, estimate_usage, size_of
from completions_mw.core.dispatch.targets import CallOptions, InProcessTarget, Target
from completions_mw.core.keys.caller import Caller, nested
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.core.streaming.opening import OpenedAnswer, opened
from completions_mw.core.validation.request import Chat
from completions_mw.errors import GatewayError
from completions_mw.providers.base import Completion


async def ask_chat(
    name: str, chat: Chat, caller: Caller | None, context: RequestContext, target: Target, options: CallOptions
) -> Completion | OpenedAnswer:
    """Ask a target for a whole answer, or for a stream, which is returned once its first chunks have arrived.

    Args:
        name: model name that the client asked for.
        chat: the request.
        caller: the caller; None for the host app itself.
        context: request context; its `ignored`, `dropped`, `usage`, `finish_reason` and `first_ms` are set.
        target: the target.
        options: for whom the target is asked, and in how much time.

    Raises:
        GatewayError: the target gives no answer.
    """
    if target.is_local and caller is not None:
        chat.request.asked_by(nested(caller, context))
    context.ignored = chat.ignored
    if isinstance(target, InProcessTarget):
        context.note_ignored(sorted(target.ignored & chat.fields.keys()))
    fitted = chat if target.params is None else target.params.fit(chat)
    context.dropped = fitted.dropped
    if chat.stream:
        return await _stream(context, target, name, fitted, options)
    return _finished(context, await target.complete(fitted, options), target, name, fitted)


async def _stream(context: RequestContext, target: Target, name: str, chat: Chat, options: CallOptions) -> OpenedAnswer:
    grammar = ChunkGrammar(
        id=new_answer_id(),
        created=int(context.clock.time()),
        model=name,
        renamed=target.is_local or target.model != name,
        include_usage=chat.include_usage,
        n=chat.n,
        is_forced=chat.forces_call,
        estimate=partial(estimate_usage, chat.request),
    )
    deadline = context.clock.monotonic() + (target.total if options.seconds is None else options.seconds)
    source = await target.open(chat, options)
    try:
        answer = await opened(source, grammar, deadline)
    except GatewayError as error:
        # The upstream had begun to answer, and may have said what it bills.
        error.maybe_billed = error.maybe_billed or not target.is_local
        error.usage = error.usage or grammar.usage
        raise
    context.first_ms = context.milliseconds()
    return answer


def _finished(context: RequestContext, completion: Completion, target: Target, name: str, chat: Chat) -> Completion:
    """Correct an answer, and estimate its usage if the target reports none; an answer that is right keeps its bytes.

    Raises:
        UpstreamError: the target says that the answer was cut, which is billed like a whole one.
    """
    created = int(context.clock.time())
    data = complete_answer(completion.data, new_id=new_answer_id, created=created, model=name, is_forced=chat.forces_call)
    # A model in this process may return another model's answer, whose name its clients must not see.
    if data["model"] != name and (target.is_local or target.model != name):
        data = {**data, "model": name}
    usage = find_usage(completion.data)
    uncounted: int | None = None
    if usage is None or not counts_answer(usage):
        size = sum(size_of(choice["message"]) for choice in data["choices"])
        if size or usage is None:
            uncounted = size
            estimate = estimate_usage(chat.request, size)
            usage = estimate if usage is None else at_least(usage, estimate)
    if data.get("usage") is not usage:
        data = {**data, "usage": usage}
    context.usage, context.estimated = usage, uncounted is not None
    context.finish_reason = completion.data["choices"][-1].get("finish_reason")
    if is_interrupted(data):
        # Also in the error, since the context forgets it when another target is asked.
        raise interrupted_error(usage if uncounted is None else None, uncounted)
    context.finish_reason = data["choices"][-1]["finish_reason"]
    return completion if data is completion.data else Completion(data)
