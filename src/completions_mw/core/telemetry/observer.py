"""The one seam at which logs, metrics and spans hang."""

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R", bound="ObservedRequest")
T = TypeVar("T")

Step = Literal["request", "authenticate", "parse", "admit", "cache", "reserve", "dispatch", "target", "settle"]
"""What is observed: the whole request, one of its steps, or one target that was asked within `dispatch`."""


class ObservedRequest(Protocol):
    """What an observer may know of a request: read only, and never content."""

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
    def usage(self) -> dict[str, Any] | None: ...
    @property
    def first_ms(self) -> int | None: ...
    def milliseconds(self) -> int: ...


class Observer:
    """Told what happens to each request. Every method does nothing here; override what is of interest.

    An observer must not raise and must not wait. `request` fails at most once or completes once; a streamed request does so when its
    stream ends, which may be long after `dispatch` has completed.
    """

    observes_steps: bool = False
    """Whether `started` and `completed` are wanted for the steps inside a request; where they are not, steps cost nothing more."""

    def started(self, step: Step, request: ObservedRequest) -> None:
        """A step begins."""

    def completed(self, step: Step, request: ObservedRequest) -> None:
        """A step has done its work."""

    def failed(self, step: Step, request: ObservedRequest, error: BaseException) -> None:
        """A step has raised `error`; one that is no `Exception` says that the request was cancelled."""

    def noted(self, event: str, request: ObservedRequest, **details: Any) -> None:
        """Something happened that an operator should know, as `over_reservation`."""

    def around(self, step: Step, function: Callable[Concatenate[R, P], Awaitable[T]]) -> Callable[Concatenate[R, P], Awaitable[T]]:
        """Return `function` so that it reports itself as `step`; the function itself where steps are not observed."""
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
    """Hands everything on to several observers.

    Args:
        *observers: told in this order.
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
