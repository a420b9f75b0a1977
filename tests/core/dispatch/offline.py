"""Attempts of requests without a network: targets that end as a test says, and a clock that moves when it is told to."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

import pytest

from completions_mw import GatewayError, Settings, UpstreamTimeoutError
from completions_mw.blocking import run_sync
from completions_mw.core.context import RequestContext
from completions_mw.core.dispatch.attempts import Attempts
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import CallOptions, Target
from completions_mw.core.ports.waiting import Contestant
from completions_mw.core.telemetry.observer import ObservedRequest, Observer
from completions_mw.errors import ClientDisconnectedError, UpstreamError
from completions_mw.gateway.backends import BlockingBackends
from completions_mw.gateway.models import ModelRegistry
from completions_mw.http import ClientConnection
from completions_mw.providers.client_errors import parse_error
from tests.support.fake_clock import FakeClock

T = TypeVar("T")
Outcome = Callable[[], GatewayError | None]


class Waits(NamedTuple):
    """A `Waiting` port that lets the time pass."""

    time: FakeClock
    seconds: list[float]
    passes: bool
    leaves: list[bool]
    """Whether the client leaves during a wait."""

    async def pause(self, seconds: float, connection: ClientConnection | None) -> None:
        self.seconds.append(seconds)
        if self.leaves:
            raise ClientDisconnectedError
        if self.passes:
            self.time.advance(seconds)

    async def race(
        self,
        first: Contestant[T],
        second: Contestant[T],
        delay: float,
        connection: ClientConnection | None,
        drop: Callable[[T], Coroutine[Any, Any, None]],
    ) -> T | None:
        """The first one is always late: it ends after the second one."""
        self.seconds.append(delay)
        self.time.advance(delay)
        result, late = await second(connection), await first(connection)
        return late if result is None else result


class Notes(Observer):
    def __init__(self) -> None:
        self.events: list[str] = []
        self.failures: list[str | None] = []

    def failed(self, step: str, request: ObservedRequest, error: BaseException) -> None:
        self.failures.append(request.target)

    def noted(self, event: str, request: ObservedRequest, **details: Any) -> None:
        self.events.append(f"{event} {details['target']}")


class Offline:
    """The attempts of requests for a model whose targets end as the test says, and take no time.

    Args:
        *targets: names of the targets; also tables.
        **more: further settings.
    """

    def __init__(self, *targets: Any, keys: int = 0, passes: bool = True, **more: Any) -> None:
        self.time = FakeClock()
        self.waits = Waits(self.time, [], passes, [])
        self.notes = Notes()
        provider = {"api": "openai", "api_keys": [f"key-{number}" for number in range(keys)]}
        model = {"targets": [f"up/{name}" for name in targets or ("a",)], **more.pop("model", {})}
        self.settings = Settings(providers={"up": provider}, models={"m": model}, **more)
        self.route: Route = ModelRegistry(self.settings, {}, BlockingBackends(), clock=self.time.clock()).models["m"].route
        self.attempts = Attempts(self.notes, self.waits, self.settings.retries, draw=lambda: 0.5)
        self.outcomes: dict[str, list[GatewayError | None]] = {}
        self.always: dict[str, Outcome] = {}
        self.asked: list[str] = []
        self.seconds: list[float | None] = []
        self.context = self.arrive()

    def arrive(self) -> RequestContext:
        self.context = RequestContext(self.time.clock())
        return self.context

    def ends(self, name: str, *outcomes: GatewayError | None) -> "Offline":
        """Let a target end so, one request after another, and then answer."""
        self.outcomes[name] = list(outcomes)
        return self

    def run(self) -> str:
        """Return the name of the target that answers one more request."""
        return run_sync(self.attempts.answer(self.context, self.route, CallOptions(), self._ask))

    def fail(self) -> GatewayError:
        with pytest.raises(GatewayError) as caught:
            self.run()
        return caught.value

    async def _ask(self, context: RequestContext, target: Target, options: CallOptions) -> str:
        self.asked.append(target.model)
        self.seconds.append(options.seconds)
        left = self.outcomes.get(target.model)
        error = left.pop(0) if left else self.always.get(target.model, _well)()
        if error is not None:
            if len(target.health.keys) > 1:
                error.upstream_key = target.health.next_key() + 1
            raise error
        return target.model


def _well() -> None:
    return None


def refused(status: int, *headers: tuple[str, str], code: str | None = None) -> GatewayError:
    body = b'{"error": {"message": "no", "code": "%s"}}' % code.encode() if code else b"{}"
    error = parse_error(status, headers, body)
    error.upstream_status = status
    return error


def unreachable() -> GatewayError:
    return UpstreamError("no", code="upstream_unreachable")


def late() -> GatewayError:
    error = UpstreamTimeoutError("late")
    error.maybe_billed = True
    return error
