"""What a model's own code may raise, and what must not be mistaken for the end of an answer, or for a client that left."""

from typing import Final

SIGNALS: Final = (StopIteration, StopAsyncIteration, GeneratorExit)
"""Exceptions that mean something to iterators, by which the answers of models arrive."""


def signalled(signal: BaseException) -> RuntimeError:
    """Return the error for a model that raised one of `SIGNALS`."""
    error = RuntimeError(f"a model raised {type(signal).__name__}")
    error.__cause__ = signal
    return error
