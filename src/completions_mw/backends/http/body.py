"""The bodies of upstreams' answers, read over connections that are kept."""

from typing import Final

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.call import UpstreamCall
from completions_mw.backends.http.call_connection import CallConnection
from completions_mw.backends.http.failures import disconnected
from completions_mw.backends.pool import Pool
from completions_mw.errors import ClientDisconnectedError
from completions_mw.http import ClientConnection

DRAIN_SECONDS: Final = 0.1
"""How long a complete answer may take to end its body before its connection is closed instead of reused."""


class Body:
    """The `UpstreamBody` of both transports. One that is dropped unread closes its connection.

    A reader whose client leaves, or whose task is cancelled, may read on.
    """

    __slots__ = ("_call", "_client", "_connection", "_has_taken", "_is_closed", "_pool", "_tick")

    def __init__(
        self, call: UpstreamCall, connection: CallConnection, client: ClientConnection | None, pool: Pool[CallConnection], tick: float
    ) -> None:
        self._call = call
        self._client = client
        self._connection = connection
        self._pool = pool
        self._tick = tick or float("inf")
        self._has_taken = False
        self._is_closed = False

    async def __anext__(self) -> bytes:
        if self._is_closed:
            raise StopAsyncIteration
        call = self._call
        try:
            while True:
                if call.buffered:
                    self._has_taken = True
                    return call.take()
                if call.is_complete:
                    break
                if call.failure is not None:
                    raise call.failure
                now = SYSTEM_CLOCK.monotonic()
                if self._has_taken:
                    self._has_taken = False
                    call.awaited(now)
                until = min(call.read_by, now + self._tick)
                if not await self._connection.wait(until, self._client) and not call.buffered:
                    if SYSTEM_CLOCK.monotonic() < call.read_by:
                        return b""
                    call.expire()
                if self._is_closed:
                    # Somebody else has closed it meanwhile: no reader may take that for the end of the answer.
                    raise disconnected()
        except Exception as error:
            if not isinstance(error, ClientDisconnectedError):
                self._close()
            raise
        self._release()
        raise StopAsyncIteration

    def detach(self, tick: float) -> None:
        self._client, self._tick = None, tick

    async def finish(self) -> None:
        call, until = self._call, SYSTEM_CLOCK.monotonic() + DRAIN_SECONDS
        try:
            while not (self._is_closed or call.is_complete) and call.failure is None and await self._connection.wait(until, None):
                # The client has everything: nobody reads what still comes.
                call.take()
        finally:
            self._release()

    async def aclose(self) -> None:
        self._close()

    def __del__(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.drop()
            self._pool.drop(self._call.caller)

    def _release(self) -> None:
        if self._is_closed:
            return
        if not (self._call.is_complete and self._call.is_reusable):
            return self._close()
        self._is_closed = True
        self._connection.end_call()
        self._pool.release(self._connection, self._call.caller, SYSTEM_CLOCK.monotonic())

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.close()
            self._pool.release(None, self._call.caller, SYSTEM_CLOCK.monotonic())
