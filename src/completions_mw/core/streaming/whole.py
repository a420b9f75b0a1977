"""A whole answer as the body of an HTTP response that is sent in pieces."""

from collections.abc import Callable
from typing import Final

from completions_mw.core.streaming.rules import StreamRules
from completions_mw.core.telemetry import Observer
from completions_mw.core.telemetry.observer import ObservedRequest

LARGE: Final = 16 * 1024
"""Bytes of a body above which it is watched: a kernel takes so many for a client that reads nothing, so that no server waits for less."""
_PIECE: Final = 64 * 1024


class WholeBody:
    """The `ResponseBody` of a large whole answer, or of a stored stream.

    As one piece it would hold a thread of a blocking server, and in an asynchronous one its memory, for as long as the client takes
    nothing. So it is given piece by piece, and `check`, which the background calls beside the server, ends it.

    Args:
        body: the whole body.
        rules: bounds of the gateway's answers.
        seconds: time in which the client must take the whole body.
        disconnect: ends the connection of the client.
        observer: told if the client did not take the body.
        context: the context of the request.
    """

    __slots__ = (
        "__weakref__",
        "_body",
        "_context",
        "_deadline",
        "_disconnect",
        "_given",
        "_given_at",
        "_is_open",
        "_observer",
        "_rules",
        "is_done",
    )

    def __init__(
        self,
        body: bytes,
        rules: StreamRules,
        seconds: float,
        disconnect: Callable[[], None],
        observer: Observer,
        context: ObservedRequest,
    ) -> None:
        self._body = body
        self._rules = rules
        self._disconnect = disconnect
        self._observer = observer
        self._context = context
        self._given = 0
        self._given_at = rules.clock.monotonic()
        self._deadline = self._given_at + seconds
        self._is_open = True
        self.is_done = False
        """Whether the last piece was returned, or none will be."""
        rules.background.watch(self)

    async def __anext__(self) -> bytes:
        if self.is_done:
            # Also where a middleware has read the pieces for itself: when they are sent cannot be seen then.
            await self.aclose()
            raise StopAsyncIteration
        piece = self._body[self._given : self._given + _PIECE]
        self._given += len(piece)
        self._given_at = self._rules.clock.monotonic()
        self.is_done = self._given >= len(self._body)
        return piece

    async def check(self) -> None:
        """End the body if its client takes nothing of it for too long: called every second."""
        if not self._is_open:
            # The connection may be serving its next request: a round of checks lists what it checks at its beginning.
            return
        now = self._rules.clock.monotonic()
        if now >= self._deadline or now - self._given_at >= self._rules.send_timeout:
            await self.aclose()
            self._observer.noted("answer_not_taken", self._context, bytes=len(self._body))
            self._disconnect()

    async def aclose(self) -> None:
        self.is_done = True
        self._is_open = False
        self._rules.background.unwatch(self)

    async def abandon(self) -> None:
        """End the body without I/O: called by the garbage collector."""
        await self.aclose()
