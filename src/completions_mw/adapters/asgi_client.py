"""The client of an ASGI request: its body, and whether it is still connected."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from completions_mw.adapters.asgi_rounds import ROUND_SECONDS, Rounds, rounds_of
from completions_mw.core.validation.body_room import PAGE, BodyShare
from completions_mw.core.validation.headers import body_too_large_error
from completions_mw.errors import ClientDisconnectedError, RequestTimeoutError
from completions_mw.gateway import AsyncGateway

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Client:
    """The client of one request: reads the body, and cancels the task of the request when the client leaves.

    Since `send` does not fail after a client left, a task awaits `receive` once the body is read (docs/promises.md, Clients that leave). It
    starts after a delay, since it would be most of the cost of a short answer, and is a bare task, since a task group costs seven times as
    much. A client whose request waits for nothing, as one that is answered from memory, is not watched at all.

    Args:
        scope: the scope of the request.
        receive: the callable of the ASGI server.
        gateway: answers the request. Bounds the time and the memory in which the body is received, and has the places for answers that go
            on without their clients.
    """

    __slots__ = (
        "_gateway",
        "_is_answered",
        "_is_finishing",
        "_is_reading",
        "_late",
        "_left",
        "_more",
        "_receive",
        "_rounds",
        "_scope",
        "_task",
        "_timer",
        "_watcher",
    )

    def __init__(self, scope: Scope, receive: Receive, gateway: AsyncGateway) -> None:
        self._scope = scope
        self._receive = receive
        self._gateway = gateway
        self._rounds: Rounds | None = None
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._more = True
        self._late = False
        self._left = False
        self._is_finishing = False
        self._is_reading = False
        self._is_answered = False

    async def read(self, limit: int) -> bytes:
        """Return the whole body: the method of `RequestBody`.

        Raises:
            RequestTooLargeError: the body has more than `limit` bytes.
            RequestTimeoutError: the client did not send the body in time.
            ServiceUnavailableError: the bodies of all requests together are too large.
            ClientDisconnectedError: the client left before it had sent the body.
        """
        self._is_reading = True
        try:
            body = self._take(await self._receive())
            if self._more or len(body) > PAGE:
                body = await self._whole(body, limit)
            if len(body) > limit:
                raise body_too_large_error(limit)
        except asyncio.CancelledError:
            if self._late and self._take_cancellation():
                text = f"The request body did not arrive within {self._gateway.settings.body_timeout:g} seconds."
                raise RequestTimeoutError(text, headers=(("connection", "close"),)) from None
            raise
        finally:
            self._is_reading = False
            if self._timer is not None and self._rounds is not None:
                self._timer.cancel()
                self._timer = None
                self._rounds.join(self)
        return body

    async def _whole(self, first: bytes, limit: int) -> bytes:
        """Return the whole body, of which `first` has come."""
        pieces = [first]
        size = len(first)
        with BodyShare(self._gateway.body_room) as share:
            share.take(size)
            while self._more and size <= limit:
                pieces.append(self._take(await self._receive()))
                size += len(pieces[-1])
                share.take(len(pieces[-1]))
            return b"".join(pieces)

    def _take(self, message: Message) -> bytes:
        """Return the piece of the body in a message."""
        if message["type"] == "http.disconnect":
            self._more = False
            raise ClientDisconnectedError
        self._more = message.get("more_body", False)
        content: bytes = message.get("body", b"")
        return content

    async def discard(self, limit: int, seconds: float) -> bool:
        """Drop what is left of the body: the method of `RequestBody`."""
        if any(name == b"expect" for name, _ in self._scope["headers"]):
            # The client sends the body once it is asked for, which servers do at the first `receive`.
            return not self._more
        size = 0
        with contextlib.suppress(TimeoutError, ClientDisconnectedError):
            async with asyncio.timeout(seconds):
                while self._more and size < limit:
                    size += len(self._take(await self._receive()))
        return not self._more

    def watch(self) -> None:
        """Look after the client from the next round on, since its request waits."""
        if self._rounds is None:
            loop = asyncio.get_running_loop()
            self._task = asyncio.current_task(loop)
            self._rounds = rounds_of(loop)
            self._rounds.join(self)

    def visit(self) -> None:
        """Watch the client if its body was read meanwhile; else give it the rest of its time."""
        if self._more and not self._is_reading and self._rounds is not None:
            # Something else is waited for, as the store of keys.
            self._rounds.join(self)
        elif self._more:
            self._timer = asyncio.get_running_loop().call_later(
                max(0.0, self._gateway.settings.body_timeout - ROUND_SECONDS), self._give_up
            )
        else:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def _give_up(self) -> None:
        self._late = True
        self._cancel()

    async def _watch(self) -> None:
        # Asked once: where a middleware replays the body, every further message is that body, at once and for ever.
        try:
            message = await self._receive()
        except Exception:
            # Starlette's BaseHTTPMiddleware raises at such a body, also while this task is being cancelled.
            return
        if message["type"] == "http.disconnect":
            self._left = True
            finishing = None if self._is_answered else self._gateway.finishing
            if self._rounds is not None and finishing is not None and finishing.take():
                self._is_finishing = True
                self._timer = asyncio.get_running_loop().call_later(finishing.seconds, self._cancel)
            else:
                self._cancel()

    def answered(self) -> bool:
        """Note that the answer is whole or has begun; return whether the client is still there to get it."""
        self._is_answered = True
        if self._is_finishing:
            self._stop_finishing()
        return not self._left

    def drop(self) -> None:
        """Cancel the task of the request, since the client does not take its answer."""
        self._left = True
        self._cancel()

    def _stop_finishing(self) -> None:
        self._is_finishing = False
        if self._gateway.finishing is not None:
            self._gateway.finishing.give_back()
        if self._timer is not None:
            self._timer.cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _take_cancellation(self) -> bool:
        """Undo the cancellation of the request's task by this object; return whether nothing else has cancelled it."""
        return self._task is not None and self._task.uncancel() == 0

    def left(self) -> bool:
        """Return whether the request's task was cancelled only because the client left, and undo that cancellation."""
        return self._left and self._take_cancellation()

    def release(self) -> None:
        """Stop watching the client."""
        if self._is_finishing:
            self._stop_finishing()
        if self._rounds is not None:
            self._rounds.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            # The watcher and the task refer to each other, and would keep the request in memory until the next garbage collection.
            self._watcher = self._task = None
