"""The queue between a model that runs in a task or thread and its reader on an event loop."""

from collections import deque
from typing import Any, Final

import anyio
import anyio.lowlevel

MAX_QUEUED_ITEMS: Final = 16
"""Items that may wait for a slow reader before the model has to."""


class Inbox:
    """Items in order, and how they ended. All methods are called on the reader's event loop, and only `take` waits.

    A time-out of the reader loses nothing: items stay in the inbox until they are taken.

    Args:
        keep_alive: seconds of silence after which an empty batch is taken; 0: never.
    """

    __slots__ = ("_error", "_items", "_keep_alive", "_news", "ended")

    def __init__(self, keep_alive: float) -> None:
        self._items: deque[Any] = deque()
        self._keep_alive = keep_alive or None
        self._news = anyio.Event()
        self._error: BaseException | None = None
        self.ended = False

    def put(self, item: Any) -> None:
        """Add an item; without effect after the end, since the reader has left."""
        if not self.ended:
            self._items.append(item)
            self._news.set()

    def end(self, error: BaseException | None = None) -> None:
        """Note that no more items come; the reader gets `error` after the items that were put before."""
        if not self.ended:
            self._error, self.ended = error, True
            self._news.set()

    def close(self) -> None:
        """Drop all items: the reader has left."""
        self.end()
        self._items.clear()
        self._error = None

    async def take(self) -> list[Any]:
        """Return all items that were put since the last call, waiting for the first.

        Raises:
            StopAsyncIteration: there are no more.
        """
        # A model that always has the next item ready must not make the reader deaf to cancellation.
        await anyio.lowlevel.checkpoint_if_cancelled()
        if not self._items and not self.ended:
            self._news = anyio.Event()
            with anyio.move_on_after(self._keep_alive):
                await self._news.wait()
        if self._items or not self.ended:
            batch = list(self._items)
            self._items.clear()
            return batch
        error, self._error = self._error, None
        raise error or StopAsyncIteration
