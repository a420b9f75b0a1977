"""Checks of functions of the host app when a gateway is made, so that a fault is found before the first request."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial


def uncallable_reason(function: object, what: str | None = "request") -> str | None:
    """Return why `function` cannot be called with one argument, None if it can or its signature is unknown.

    Args:
        function: a hook of the host app.
        what: name of the argument in the returned text; None for a function that is called without any.
    """
    if not callable(function):
        return f"should be a function, not {type(function).__name__}"
    if not _takes(function, 0 if what is None else 1):
        return f"{_name(function)} should take {'no argument' if what is None else f'the {what} as its one positional argument'}"
    return None


def missing_method(hook: object, name: str, arguments: Sequence[str]) -> str | None:
    """Return why `hook` has no method `name` that can be called with `arguments`; None if it has one.

    Args:
        hook: an object of the host app.
        name: name of the method.
        arguments: names of its positional arguments in the returned text.
    """
    method = getattr(hook, name, None)
    if not callable(method):
        return f"should have a method `{name}`"
    return None if _takes(method, len(arguments)) else f"`{name}` should take {', '.join(arguments) or 'no argument'}"


def is_async(function: object) -> bool:
    """Return whether calling `function` returns an awaitable or an async iterator."""
    while isinstance(function, partial):
        function = function.func
    candidates = (function, getattr(function, "__call__", None))  # noqa: B004 - an object whose __call__ is async
    return any(inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate) for candidate in candidates)


def _takes(function: Callable[..., object], count: int) -> bool:
    """Return whether `function` can be called with `count` positional arguments, or its signature is unknown."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _name(function: object) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))
