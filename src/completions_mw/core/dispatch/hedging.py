"""Hedging: a second target is asked if the first one takes longer than it mostly does, and the sooner answer counts (docs/routing.md)."""

from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import Generic, TypeVar

from completions_mw.core.context import LostAttempt, RequestContext
from completions_mw.core.dispatch.attempt import Ask, Attempt, Failure
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import CallOptions, Target
from completions_mw.core.ports import Waiting
from completions_mw.core.streaming.opening import OpenedAnswer
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.http import ClientConnection

T = TypeVar("T")


class Hedging:
    """Asks two targets for one answer.

    Args:
        attempt: asks one target.
        waiting: runs two attempts at once.
    """

    def __init__(self, attempt: Attempt, waiting: Waiting) -> None:
        self._attempt = attempt
        self._waiting = waiting

    async def answer(self, context: RequestContext, route: Route, target: Target, rival: Target, options: CallOptions, ask: Ask[T]) -> T:
        """Return the answer of a target or, if that takes longer than 95 of 100 did before, the sooner one of two.

        Args:
            context: request context.
            route: route of the request.
            target: the target.
            rival: the target that is asked beside it, which may be the same.
            options: for whom the target is asked, and in how much time.
            ask: asks a target.

        Raises:
            GatewayError: the target does not answer, and neither does its rival if it was asked.
        """
        latency = target.health.latency
        delay = None if latency is None else latency.percentile_95(is_stream=context.stream)
        if delay is None:
            # Too little is known of the target to tell what is late.
            return await self._attempt.answer(context, route, target, options, ask)
        # The maintenance notes what requests cost so far, also while nobody has answered yet.
        context.target, context.asked = target.name, context.clock.monotonic()
        first, second = _Entry[T](context, target), _Entry[T](context, rival)
        answer: T | None = None
        try:
            run = partial(self._run, route, options, ask)
            answer = await self._waiting.race(partial(run, first), partial(run, second, is_hedge=True), delay, options.connection, _close)
            if answer is None:
                assert first.error is not None
                raise first.error
            return answer
        finally:
            _take_over(context, [entry for entry in (first, second) if entry.context.attempts > context.attempts], answer)
            # The exceptions hold these frames by their tracebacks.
            first.error = second.error = None

    async def _run(
        self,
        route: Route,
        options: CallOptions,
        ask: Ask[T],
        entry: "_Entry[T]",
        connection: ClientConnection | None,
        *,
        is_hedge: bool = False,
    ) -> T | None:
        """Return the answer of an entry; None if it has failed, or must not begin."""
        context, target = entry.context, entry.target
        # An upstream that is slow because it has too much to do gets no more of it.
        if is_hedge and not target.health.retries.take(context.clock.monotonic()):
            return None
        own = options._replace(connection=connection)
        try:
            entry.answer = await self._attempt.answer(context, route, target, own, ask, is_retry=is_hedge)
        except ClientDisconnectedError:
            raise
        except GatewayError as error:
            entry.error, entry.seconds = error, context.seconds_of_target()
        return entry.answer


class _Entry(Generic[T]):
    """A target in a race, with a request context of its own, since both attempts tell theirs of what they get."""

    __slots__ = ("answer", "context", "error", "seconds", "target")

    def __init__(self, context: RequestContext, target: Target) -> None:
        self.context = copy(context)
        self.target = target
        self.answer: T | None = None
        self.error: GatewayError | None = None
        self.seconds = 0.0
        """Time after which it has failed."""

    def bills(self) -> tuple[LostAttempt, ...]:
        """Return the attempt if it may be billed, as one that is not needed."""
        if self.error is not None:
            return Failure(self.target, self.error, self.seconds).bills()
        # A whole answer that came in the same moment tells what it has cost.
        return (LostAttempt(self.target.name, self.context.seconds_of_target(), None, None if self.answer is None else self.context.usage),)


def _take_over(context: RequestContext, begun: Sequence[_Entry[T]], answer: T | None) -> None:
    """Tell a request context what the attempts of a race have told theirs: all of the one that counts, and of the other what it may cost.

    Args:
        context: context of the request.
        begun: entries of the race that have asked their targets.
        answer: answer of the one that counts; None if there is none, and the first one counts.
    """
    if not begun:
        return
    best = next((entry for entry in begun if answer is not None and entry.answer is answer), begun[0])
    lost, attempts = context.lost, context.attempts
    for entry in begun:
        attempts += entry.context.attempts - context.attempts
        if entry is not best:
            lost += entry.bills()
            _learn_from_loser(entry)
    context.adopt(best.context)
    context.lost, context.attempts = lost, attempts


def _learn_from_loser(entry: _Entry[T]) -> None:
    """Take in that an attempt which was stopped would have taken longer: else only what was quick would be known, and ever more be late."""
    latency, context = entry.target.health.latency, entry.context
    if latency is not None and entry.error is None and entry.answer is None:
        latency.learn(context.clock.monotonic(), context.seconds_of_target(), is_stream=context.stream)


async def _close(answer: object) -> None:
    """Close an answer that came too late."""
    if isinstance(answer, OpenedAnswer):
        await answer.source.aclose()
