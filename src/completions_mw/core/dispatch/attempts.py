"""The attempts of a request: asks targets until one begins to answer, whatever kind of answer it is (docs/routing.md)."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from completions_mw.core.context import RequestContext
from completions_mw.core.dispatch.attempt import Ask, Attempt, Failure, failure_for_client, seconds_left
from completions_mw.core.dispatch.failures import allows_fallback, is_charged, is_retryable
from completions_mw.core.dispatch.hedging import Hedging
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import CallOptions, Target
from completions_mw.core.ports import Waiting
from completions_mw.core.resilience.chance import draw
from completions_mw.core.telemetry.observer import Observer
from completions_mw.errors import GatewayError, ServiceUnavailableError, retry_headers
from completions_mw.settings import RetrySettings

T = TypeVar("T")
FIRST_BACKOFF: Final = 0.5
"""Longest wait before the second attempt, in seconds; it doubles with each further one."""
MIN_SECONDS: Final = 0.05
"""Seconds without which no further attempt is made."""


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
        self._attempt = Attempt(observer)
        self._hedging = Hedging(self._attempt, waiting)
        self._waiting = waiting
        self._rules = retries
        self._draw = draw

    async def answer(
        self,
        context: RequestContext,
        route: Route,
        options: CallOptions,
        ask: Ask[T],
        skipped: Sequence[Target] = (),
    ) -> T:
        """Return the first answer that a target gives.

        Args:
            context: request context; its `target`, `attempts` and response headers are set.
            route: targets that may be asked.
            options: for whom they are asked, and in how much time.
            ask: asks one of them.
            skipped: targets of the route that are not asked, because they do not take the request; never all.

        Raises:
            GatewayError: the last target failed, or a target failed in a way that no other attempt can fix.
        """
        targets = route.candidates(context.clock.monotonic(), skipped)
        failures: list[Failure] = []
        told: Failure | None = None
        attempt = 1
        try:
            while targets:
                known = len(failures)
                answer = await self._first_of(targets, context, route, options, ask, failures, is_retry=attempt > 1)
                if answer is not None:
                    context.note_attempts(context.target if route.is_exposed else None, has_choice=not route.is_single)
                    return answer
                if _is_used_up(context, route, failures):
                    break
                wait, targets = self._repeatable(context, route, failures[known:], attempt)
                if targets:
                    # Nobody is at work meanwhile, so that a client who leaves pays for nothing but what the failures have cost.
                    context.target = context.usage = None
                    await self._waiting.pause(wait, options.connection)
                attempt += 1
            if not failures:
                raise _unavailable(route)
            told = failure_for_client(failures)
            context.target, context.asked = told.target.name, context.clock.monotonic() - told.seconds
            raise told.error
        except GatewayError:
            context.note_attempts(None, has_choice=False)
            raise
        finally:
            if failures:
                # The failure that the client is told of is charged with the request itself.
                context.lost += tuple(bill for failure in failures if failure is not told for bill in failure.bills())
            # Exceptions hold this frame by their tracebacks: were they held by the frame, both would wait for the garbage collector.
            failures.clear()
            del told

    async def _first_of(
        self,
        targets: Sequence[Target],
        context: RequestContext,
        route: Route,
        options: CallOptions,
        ask: Ask[T],
        failures: list[Failure],
        *,
        is_retry: bool,
    ) -> T | None:
        """Return the answer of the first target that gives one; None if none does, or if no other can fix a failure.

        Args:
            targets: targets in the order in which they are asked.
            context: request context.
            route: route of the request.
            options: for whom the target is asked, and in how much time.
            ask: asks one of them.
            failures: failed attempts of the request so far; those of the targets are added.
            is_retry: whether the targets have failed for this request before.
        """
        for place, target in enumerate(targets):
            if failures and seconds_left(context, route) < MIN_SECONDS:
                break
            if target.health.breaker.is_open and not target.health.breaker.allows():
                continue
            try:
                if route.hedges and not failures:
                    rival = targets[min(place + 1, len(targets) - 1)]
                    return await self._hedging.answer(context, route, target, rival, options, ask)
                return await self._attempt.answer(context, route, target, options, ask, is_retry=is_retry)
            except GatewayError as error:
                failures.append(Failure(target, error, context.seconds_of_target()))
                if _is_used_up(context, route, failures) or not allows_fallback(error, route.fallback_on):
                    break
        return None

    def _repeatable(
        self, context: RequestContext, route: Route, failures: Sequence[Failure], attempt: int
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
        if not allows_fallback(failures[-1].error, route.fallback_on):
            # No other attempt can fix this one.
            failures = failures[-1:]
        # Full jitter, https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
        backoff = self._draw() * FIRST_BACKOFF * 2 ** (attempt - 1)
        longest = min(self._rules.max_wait, seconds_left(context, route) - MIN_SECONDS)
        waits = {
            target: wait
            for target, error, _ in failures
            if is_retryable(error, maybe_billed=self._rules.maybe_billed) and (wait := max(backoff, error.retry_after or 0.0)) <= longest
        }
        soonest = min(waits.values(), default=0.0)
        now = context.clock.monotonic()
        return soonest, [target for target, wait in waits.items() if wait == soonest and target.health.retries.take(now)]


def _is_used_up(context: RequestContext, route: Route, failures: Sequence[Failure]) -> bool:
    """Return whether the failed attempts are charged as many answers as were reserved for the request; races have lost attempts, too."""
    return len(context.lost) + sum(is_charged(failure.error) for failure in failures) >= route.answers


def _unavailable(route: Route) -> ServiceUnavailableError:
    """Return the error of a request whose targets all have open breakers."""
    seconds = min(target.health.breaker.seconds_until_probe() for target in route.targets)
    text = "The upstream provider keeps failing, and is not asked for a moment. Please try again."
    return ServiceUnavailableError(text, code="upstream_unavailable", headers=retry_headers(round(seconds * 1000)))
