"""Runs the async core without an event loop, a thread or a greenlet.

Blocking ports do their I/O inside `async def` methods that never suspend, so a single `send` runs a coroutine from its start to its end.
"""

from collections.abc import Coroutine
from typing import Any, Generic, Protocol, Self, TypeVar
from weakref import finalize

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Stream(Protocol[T_co]):
    """An async stream that `iterate` turns into a plain iterator."""

    def __anext__(self) -> Coroutine[Any, Any, T_co]: ...

    async def aclose(self) -> None:
        """Stop the stream at any point: close its source, and settle its request. May be called twice."""
        ...

    async def abandon(self) -> None:
        """Close the source of the stream without I/O on a store. The garbage collector calls it; the maintenance settles the request."""
        ...


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` to its end and return its result.

    Raises:
        RuntimeError: the coroutine suspended, so something in it waits for an event loop; the message names the coroutine.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    coroutine.close()
    name = getattr(coroutine, "__qualname__", coroutine)
    raise RuntimeError(f"{name} suspended in a blocking gateway: use AsyncGateway for code that waits")


class BlockingIterator(Generic[T_co]):
    """A plain iterator over an async stream of the core. Closing it closes the upstream, also before the first item.

    If an iterator is dropped without `close`, by a server that breaks PEP 3333 or by a caller that leaves a loop, the garbage collector
    closes the upstream, and the maintenance settles the request later.
    """

    __slots__ = ("__weakref__", "_finalizer", "_stream")

    def __init__(self, stream: Stream[T_co]) -> None:
        self._stream = stream
        self._finalizer = finalize(self, _abandon, stream)
        self._finalizer.atexit = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T_co:
        try:
            return run_sync(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Close the stream and settle its request. May be called at any time, and twice."""
        if self._finalizer.detach() is not None:
            run_sync(self._stream.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _abandon(stream: Stream[Any]) -> None:
    run_sync(stream.abandon())


def iterate(stream: Stream[T_co]) -> BlockingIterator[T_co]:
    """Return a plain iterator over `stream`."""
    return BlockingIterator(stream)
