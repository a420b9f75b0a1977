"""The threads in which an async gateway runs blocking models."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from completions_mw.backends.ownership import PerLoop
from completions_mw.errors import overloaded_error


class ModelThreads(Protocol):
    """Permits to run a blocking model in a thread, which all models of a gateway share."""

    async def permit(self) -> Callable[[], None]:
        """Wait for a permit, and return the function that gives it back, which is to be called where the permit was waited for.

        Raises:
            ServiceUnavailableError: all threads are still at work.
        """
        ...


class AsyncModelThreads:
    """Permits for the models of an async gateway. A blocking gateway needs none: the server bounds the threads of its requests.

    Args:
        count: threads that may run at the same time, for each event loop.
        wait: seconds for which an answer waits for one.
    """

    def __init__(self, count: int, wait: float) -> None:
        self._permits = PerLoop(lambda: asyncio.Semaphore(count))
        self._wait = wait

    async def permit(self) -> Callable[[], None]:
        permits = self._permits.get()
        try:
            async with asyncio.timeout(self._wait):
                await permits.acquire()
        except TimeoutError:
            raise overloaded_error() from None
        return permits.release
