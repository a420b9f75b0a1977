"""Waits of the tasks of an event loop."""

import asyncio

from completions_mw.http import ClientConnection


class AsyncWaiting:
    """The `Waiting` port for asyncio, whose adapters cancel the task of a client that leaves."""

    async def pause(self, seconds: float, connection: ClientConnection | None) -> None:
        await asyncio.sleep(seconds)
