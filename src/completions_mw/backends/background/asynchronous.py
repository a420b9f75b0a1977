"""Work that an event loop repeats beside requests."""

import asyncio

from completions_mw.backends.background.work import RepeatedWork, Work


class PeriodicTask:
    """Repeats work on the running event loop.

    Between two runs there is a timer and no task: an event loop that ends forgets its timers, and complains about tasks that nobody
    cancelled.

    Args:
        interval: seconds between the end of one run and the start of the next.
        work: what is repeated. Its failures are logged, and do not stop the repetition.
    """

    def __init__(self, interval: float, work: Work) -> None:
        self._interval = interval
        self._work = RepeatedWork(work)
        self._stopped = False
        self.task: asyncio.Task[None] | None = None
        """The run under way, if any."""
        self._schedule()

    def stop(self) -> None:
        """Cancel the run under way, and start no other."""
        self._stopped = True
        if self.task is not None:
            self.task.cancel()

    def _schedule(self) -> None:
        asyncio.get_running_loop().call_later(self._interval, self._begin)

    def _begin(self) -> None:
        if not self._stopped:
            self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._work.once()
        finally:
            # A task holds its event loop, which is to be freed when it ends without `stop`.
            self.task = None
            if not self._stopped:
                self._schedule()
