"""The attempts of a request: asks targets until one begins to answer, whatever kind of answer it is (docs/routing.md)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from completions_mw.core.context import RequestContext
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import Target
from completions_mw.core.telemetry.observer import Observer
from completions_mw.errors import ClientDisconnectedError, GatewayError

T = TypeVar("T")
Ask = Callable[[Target], Awaitable[T]]
"""Asks a target, and returns its whole answer, or the beginning of a streamed one.

Raises:
    GatewayError: the target does not answer. After the first byte of an answer, `next_target` is false.
"""


class Attempts:
    """Asks targets until one begins to answer. Knows nothing of what is asked: chat completions and embeddings are tried alike.

    No target is asked after the first byte of an answer has arrived, so that one request is billed for at most one answer.

    Args:
        observer: observer of targets that fail.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def answer(self, context: RequestContext, route: Route, ask: Ask[T], skipped: Sequence[Target] = ()) -> T:
        """Return the first answer that a target gives.

        Args:
            context: request context; its `target` is set.
            route: targets that may be asked.
            ask: asks one of them.
            skipped: targets of the route that are not asked, because they do not take the request; never all.

        Raises:
            GatewayError: the last target failed, or a target failed in a way that another one cannot mend.
        """
        targets = route.candidates()
        if skipped:
            targets = [target for target in targets if target not in skipped]
        for target in targets:
            context.ask(target.name)
            try:
                return await ask(target)
            except GatewayError as error:
                error.target = target.name
                if not isinstance(error, ClientDisconnectedError):
                    self._observer.failed("target", context, error)
                if target is targets[-1] or not error.next_target:
                    raise
        raise AssertionError("a model has at least one target")
