"""The attempts of a request: asks targets until one begins to answer, whatever kind of answer it is (docs/routing.md)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from completions_mw.core.answers.usage import usage_of_error
from completions_mw.core.context import LostAttempt, RequestContext
from completions_mw.core.dispatch.failures import cooldown, is_fault, leads_on, leaves_bill, may_pass
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import Target
from completions_mw.core.ports import Waiting
from completions_mw.core.resilience.chance import draw
from completions_mw.core.telemetry.observer import Observer
from completions_mw.errors import ClientDisconnectedError, GatewayError, ServiceUnavailableError, UpstreamTimeoutError, retry_headers
from completions_mw.http import ClientConnection
from completions_mw.settings import RetrySettings

T = TypeVar("T")
Ask = Callable[[Target, float | None], Awaitable[T]]
"""Asks a target, within so many seconds or else its own `total`, and returns its whole answer or the beginning of a stream.

Raises:
    GatewayError: the target does not answer. After the first byte of an answer, `next_target` is false.
"""
FIRST_BACKOFF: Final = 0.5
"""Longest wait before the second attempt, in seconds; it doubles with each further one."""
MIN_SECONDS: Final = 0.05
"""Seconds without which no further attempt is made."""


class _Failure(NamedTuple):
    """A target that has failed, why, and after how many seconds."""

    target: Target
    error: GatewayError
    seconds: float

    def note(self, context: RequestContext) -> None:
        """Note that the attempt is charged, although another one follows it."""
        if leaves_bill(self.error):
            context.lost = (*context.lost, LostAttempt(self.target.name, self.seconds, self.error.received, usage_of_error(self.error)))


class Attempts:
    """Asks targets until one begins to answer. Knows nothing of what is asked: chat completions and embeddings are tried alike.

    The targets of a route are asked one after another. If all of them have failed, those whose failure may pass are asked again after a
    wait. No target is asked after the first byte of an answer has arrived.

    Args:
        observer: observer of targets that fail.
        waiting: waits between attempts.
        retries: the table `[retries]`.
        draw: returns a random number from 0 to 1, for the length of a wait.
    """

    def __init__(self, observer: Observer, waiting: Waiting, retries: RetrySettings, draw: Callable[[], float] = draw) -> None:
        self._observer = observer
        self._waiting = waiting
        self._rules = retries
        self._draw = draw

    async def answer(
        self,
        context: RequestContext,
        route: Route,
        connection: ClientConnection | None,
        ask: Ask[T],
        skipped: Sequence[Target] = (),
    ) -> T:
        """Return the first answer that a target gives.

        Args:
            context: request context; its `target`, `attempts` and response headers are set.
            route: targets that may be asked.
            connection: connection of the client, who may leave during a wait.
            ask: asks one of them.
            skipped: targets of the route that are not asked, because they do not take the request; never all.

        Raises:
            GatewayError: the last target failed, or a target failed in a way that no other attempt can mend.
        """
        targets = route.candidates(context.clock.monotonic(), skipped)
        failures: list[_Failure] = []
        attempt = 1
        try:
            while targets:
                known = len(failures)
                for target in targets:
                    if failures and self._seconds_left(context, route) < MIN_SECONDS:
                        break
                    if target.health.breaker.is_open and not target.health.breaker.allows():
                        continue
                    if failures:
                        failures[-1].note(context)
                    try:
                        answer = await self._ask(context, route, target, ask, is_retry=attempt > 1)
                    except GatewayError as error:
                        failures.append(_Failure(target, error, context.seconds_of_target()))
                        if not leads_on(error, route.fallback_on):
                            break
                    else:
                        context.note_attempts(target.name if route.is_exposed else None, has_choice=not route.is_single)
                        return answer
                wait, targets = self._repeatable(context, route, failures[known:], attempt)
                if targets:
                    await self._waiting.pause(wait, connection)
                attempt += 1
            raise failures[-1].error if failures else _unavailable(route)
        except GatewayError:
            context.note_attempts(None, has_choice=False)
            raise
        finally:
            # An exception holds this frame by its traceback: were it held by the frame, both would wait for the garbage collector.
            failures.clear()

    async def _ask(self, context: RequestContext, route: Route, target: Target, ask: Ask[T], *, is_retry: bool) -> T:
        """Ask a target, with one API key after another if the upstream refuses them, or if they are at their rate limits."""
        health = target.health
        while True:
            context.ask(target.name)
            if not is_retry:
                health.count(context.asked)
            try:
                return await self._measured(context, target, ask, self._seconds_of(context, route, target), is_retry=is_retry)
            except GatewayError as error:
                if error.upstream_key is None or not cooldown(error, len(health.keys)) or health.keys.is_cooling(context.clock.monotonic()):
                    raise

    async def _measured(self, context: RequestContext, target: Target, ask: Ask[T], seconds: float | None, *, is_retry: bool) -> T:
        """Ask a target, and take in what the outcome says of its health."""
        health, latency, asked = target.health, target.health.latency, context.asked
        if latency is not None:
            latency.began()
        try:
            answer = await ask(target, seconds)
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
            proves_nothing = is_retry or target.is_local or (seconds is not None and isinstance(error, UpstreamTimeoutError))
            if not proves_nothing and is_fault(error) and health.failed(now):
                self._observer.noted("breaker_opened", context, target=target.name)
            raise
        finally:
            if latency is not None:
                latency.ended()
        if latency is not None:
            now = context.clock.monotonic()
            latency.learn(now, now - asked)
        if health.breaker.is_in_doubt and health.succeeded(asked):
            self._observer.noted("breaker_closed", context, target=target.name)
        return answer

    def _repeatable(
        self, context: RequestContext, route: Route, failures: Sequence[_Failure], attempt: int
    ) -> tuple[float, Sequence[Target]]:
        """Return the targets that are asked once more, and the seconds before that.

        Args:
            context: request context.
            route: route of the request.
            failures: targets that were asked since the last wait, and why they failed.
            attempt: number of times that they have been asked.
        """
        if not failures or attempt >= self._rules.attempts:
            return 0.0, ()
        if not leads_on(failures[-1].error, route.fallback_on):
            # No other attempt can mend this one.
            failures = failures[-1:]
        # Full jitter, https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
        backoff = self._draw() * FIRST_BACKOFF * 2 ** (attempt - 1)
        longest = min(self._rules.max_wait, self._seconds_left(context, route) - MIN_SECONDS)
        waits = {
            target: wait
            for target, error, _ in failures
            if may_pass(error, maybe_billed=self._rules.maybe_billed) and (wait := max(backoff, error.retry_after or 0.0)) <= longest
        }
        soonest = min(waits.values(), default=0.0)
        now = context.clock.monotonic()
        return soonest, [target for target, wait in waits.items() if wait == soonest and target.health.retries.take(now)]

    @staticmethod
    def _seconds_left(context: RequestContext, route: Route) -> float:
        deadline = context.started + route.seconds
        if context.deadline is not None:
            deadline = min(deadline, context.deadline)
        return deadline - context.clock.monotonic()

    def _seconds_of(self, context: RequestContext, route: Route, target: Target) -> float | None:
        """Return the seconds that a target has, if they are fewer than its own timeout."""
        if context.deadline is None and context.attempts == 1 and not route.is_shorter:
            return None
        left = self._seconds_left(context, route)
        return max(left, 0.001) if left < target.total else None


def _unavailable(route: Route) -> ServiceUnavailableError:
    """Return the error of a request whose targets all have open breakers."""
    seconds = min(target.health.breaker.seconds_closed() for target in route.targets)
    text = "The upstream provider keeps failing, and is not asked for a moment. Please try again."
    return ServiceUnavailableError(text, code="upstream_unavailable", headers=retry_headers(round(seconds * 1000)))
