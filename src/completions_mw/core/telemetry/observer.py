"""Observers, which make logs, metrics and spans of the steps of requests."""

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R", bound="ObservedRequest")
T = TypeVar("T")

Step = Literal["request", "authenticate", "parse", "admit", "cache", "reserve", "dispatch", "target", "settle"]
"""Name of an observed step: the whole request, one of its steps, or one target that is asked within `dispatch`."""


class ObservedRequest(Protocol):
    """Request context as observers see it: read-only and without content."""

    @property
    def id(self) -> str: ...
    @property
    def is_http(self) -> bool: ...
    @property
    def debug(self) -> bool: ...
    @property
    def caller(self) -> str | None: ...
    @property
    def tenant(self) -> str | None: ...
    @property
    def client_request_id(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def target(self) -> str | None: ...
    @property
    def stream(self) -> bool: ...
    @property
    def cache(self) -> str | None: ...
    @property
    def usage(self) -> dict[str, Any] | None: ...
    @property
    def first_ms(self) -> int | None: ...
    def milliseconds(self) -> int: ...


class Observer:
    """Base class of observers, whose methods do nothing; override some of them.

    An observer must not raise and must not wait. The step `request` completes or fails once: for a streamed answer when the stream ends,
    which may be long after `dispatch` has completed.
    """

    observes_steps: bool = False
    """Whether the observer wants to know of the steps within a request; if not, they are not reported and cost nothing."""

    def started(self, step: Step, request: ObservedRequest) -> None:
        """Called when a step begins."""

    def completed(self, step: Step, request: ObservedRequest) -> None:
        """Called when a step has succeeded."""

    def failed(self, step: Step, request: ObservedRequest, error: BaseException) -> None:
        """Called when a step has raised `error`; an error that is not an `Exception` means that the request was cancelled."""

    def noted(self, event: str, request: ObservedRequest, **details: Any) -> None:
        """Called for an event that operators should know, such as `over_reservation`."""

    def around(self, step: Step, function: Callable[Concatenate[R, P], Awaitable[T]]) -> Callable[Concatenate[R, P], Awaitable[T]]:
        """Return `function` with reports of its start and end as `step`; unchanged if steps are not observed."""
        if not self.observes_steps:
            return function

        async def observed(request: R, /, *args: P.args, **kwargs: P.kwargs) -> T:
            self.started(step, request)
            try:
                result = await function(request, *args, **kwargs)
            except BaseException as error:
                self.failed(step, request, error)
                raise
            self.completed(step, request)
            return result

        return observed


class Observers(Observer):
    """Passes all calls on to several observers.

    Args:
        *observers: observers, in the order in which they are called.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers
        self.observes_steps = any(observer.observes_steps for observer in observers)

    def started(self, step: Step, request: ObservedRequest) -> None:
        for observer in self._observers:
            observer.started(step, request)

    def completed(self, step: Step, request: ObservedRequest) -> None:
        for observer in self._observers:
            observer.completed(step, request)

    def failed(self, step: Step, request: ObservedRequest, error: BaseException) -> None:
        for observer in self._observers:
            observer.failed(step, request, error)

    def noted(self, event: str, request: ObservedRequest, **details: Any) -> None:
        for observer in self._observers:
            observer.noted(event, request, **details)
