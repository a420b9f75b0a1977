"""Checks of functions of the host app when a gateway is made, so that a fault is found before the first request."""

import inspect
from functools import partial


def uncallable_reason(function: object, what: str | None = "request") -> str | None:
    """Return why `function` cannot be called with one argument, None if it can or its signature is unknown.

    Args:
        function: a hook of the host app.
        what: name of the argument in the returned text; None for a function that is called without any.
    """
    if not callable(function):
        return f"should be a function, not {type(function).__name__}"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*(() if what is None else (None,)))
    except TypeError:
        return f"{_name(function)} should take {'no argument' if what is None else f'the {what} as its one positional argument'}"
    return None


def is_async(function: object) -> bool:
    """Return whether calling `function` returns an awaitable or an async iterator."""
    while isinstance(function, partial):
        function = function.func
    candidates = (function, getattr(function, "__call__", None))  # noqa: B004 - an object whose __call__ is async
    return any(inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate) for candidate in candidates)


def _name(function: object) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))
