"""One attempt: asks a target, and takes in what its answer or failure says of its health."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from completions_mw.core.answers.usage import usage_of_error
from completions_mw.core.context import LostAttempt, RequestContext
from completions_mw.core.dispatch.failures import cooldown, is_charged, is_fault
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import CallOptions, Target
from completions_mw.core.telemetry.observer import Observer
from completions_mw.errors import ClientDisconnectedError, GatewayError, InvalidRequestError, UpstreamTimeoutError

T = TypeVar("T")
Ask = Callable[[RequestContext, Target, CallOptions], Awaitable[T]]
"""Asks a target, and returns its whole answer or the beginning of a stream; the context is told of the outcome.

Raises:
    GatewayError: the target does not answer. After the first byte of an answer, `next_target` is false.
"""


class Failure(NamedTuple):
    """A target that has failed, why, and after how many seconds."""

    target: Target
    error: GatewayError
    seconds: float

    def bills(self) -> tuple[LostAttempt, ...]:
        """Return the attempt if it may be billed, although another one follows it."""
        if not is_charged(self.error):
            return ()
        return (LostAttempt(self.target.name, self.seconds, self.error.received, usage_of_error(self.error)),)


def failure_for_client(failures: Sequence[Failure]) -> Failure:
    """Return the failure that the client is told: the last one, except where the target's API cannot express the request."""
    asked = [
        failure for failure in failures if not (isinstance(failure.error, InvalidRequestError) and failure.error.upstream_status is None)
    ]
    return (asked or failures)[-1]


class Attempt:
    """Asks a target for an answer.

    Args:
        observer: observer of targets that fail.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def answer(
        self, context: RequestContext, route: Route, target: Target, options: CallOptions, ask: Ask[T], *, is_retry: bool = False
    ) -> T:
        """Return a target's answer, with one API key after another if the upstream refuses them, or if they are at their rate limits.

        Args:
            context: request context; its `target` and `attempts` are set.
            route: route of the request.
            target: the target.
            options: for whom the target is asked, and in how much time.
            ask: asks it.
            is_retry: whether the target has failed for this request before.

        Raises:
            GatewayError: the target does not answer.
        """
        health = target.health
        while True:
            context.ask(target.name)
            if not is_retry:
                health.count(context.asked)
            if (seconds := _seconds(context, route, target)) is not None:
                options = options._replace(seconds=seconds)
            try:
                return await self._measured(context, target, options, ask, is_retry=is_retry)
            except GatewayError as error:
                is_final = error.upstream_key is None or error.received is not None or not cooldown(error, len(health.keys))
                if is_final or health.keys.ready_at > context.clock.monotonic():
                    raise

    async def _measured(self, context: RequestContext, target: Target, options: CallOptions, ask: Ask[T], *, is_retry: bool) -> T:
        health, latency, asked = target.health, target.health.latency, context.asked
        if latency is not None:
            latency.began()
        try:
            answer = await ask(context, target, options)
        except ClientDisconnectedError as error:
            error.target = target.name
            raise
        except GatewayError as error:
            error.target = target.name
            self._observer.failed("target", context, error)
            now = context.clock.monotonic()
            if pause := cooldown(error, len(health.keys)):
                health.keys.cool((error.upstream_key or 1) - 1, now + pause)
            # A retry fails for the same reason, and an answer that is late because its client has little time says nothing of the target.
            proves_nothing = is_retry or target.is_local or (options.seconds is not None and isinstance(error, UpstreamTimeoutError))
            if not proves_nothing and is_fault(error) and health.failed(now):
                self._observer.noted("breaker_opened", context, target=target.name)
            raise
        finally:
            if latency is not None:
                latency.ended()
        if latency is not None:
            now = context.clock.monotonic()
            latency.learn(now, now - asked, is_stream=context.stream)
        if health.breaker.is_in_doubt and health.succeeded(asked):
            self._observer.noted("breaker_closed", context, target=target.name)
        return answer


def seconds_left(context: RequestContext, route: Route) -> float:
    """Return the seconds until the deadline of a request."""
    deadline = context.started + route.seconds
    if context.deadline is not None:
        deadline = min(deadline, context.deadline)
    return deadline - context.clock.monotonic()


def _seconds(context: RequestContext, route: Route, target: Target) -> float | None:
    """Return the seconds that a target has, if they are fewer than its own timeout."""
    if context.deadline is None and context.attempts == 1 and not route.is_shorter:
        return None
    left = seconds_left(context, route)
    return max(left, 0.001) if left < target.total else None
