"""Waits of the tasks of an event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from completions_mw.core.ports.waiting import Contestant, T
from completions_mw.http import ClientConnection


class AsyncWaiting:
    """The `Waiting` port for asyncio, whose adapters cancel the task of a client that leaves."""

    async def pause(self, seconds: float, connection: ClientConnection | None) -> None:
        await asyncio.sleep(seconds)

    async def race(
        self,
        first: Contestant[T],
        second: Contestant[T],
        delay: float,
        connection: ClientConnection | None,
        drop: Callable[[T], Coroutine[Any, Any, None]],
    ) -> T | None:
        tasks = [asyncio.create_task(first(connection))]
        winner: asyncio.Task[T | None] | None = None
        try:
            done, running = await asyncio.wait(tasks, timeout=delay)
            if not done:
                tasks.append(asyncio.create_task(second(connection)))
                running = set(tasks)
            while winner is None:
                winner = next((task for task in tasks if task.done() and task.result() is not None), None)
                if winner is None:
                    if not running:
                        return None
                    _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            return winner.result()
        finally:
            others = [task for task in tasks if task is not winner]
            for task in others:
                task.cancel()
            for late in await asyncio.gather(*others, return_exceptions=True):
                if late is not None and not isinstance(late, BaseException):
                    await drop(late)
