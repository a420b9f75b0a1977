"""The bodies of HTTP responses that are sent in pieces: streamed answers."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from completions_mw.errors import ClientDisconnectedError, GatewayError, InternalError, server_shutdown_error
from completions_mw.http import ByteStream
from completions_mw.sse import Event


class Framing(Protocol):
    """Writes the events of a streamed answer into the body of its response."""

    def frame_keep_alive(self, chunk: Event) -> bytes:
        """Return bytes that keep the connection open while the answer is silent, for clients and proxies.

        Args:
            chunk: a chunk that adds nothing to the answer.
        """
        ...

    def frame(self, events: list[Event]) -> bytes:
        """Return events, of which `DONE` may be the last, as bytes.

        Raises:
            Exception: an event holds a value that cannot be written as JSON.
        """
        ...

    def frame_error(self, error: GatewayError) -> bytes:
        """Return the last bytes of an answer that failed."""
        ...


class ChunkSource(Protocol):
    """The chunks of an answer: a `ChunkStream`, or the same chunks from a cache."""

    @property
    def is_done(self) -> bool:
        """Whether the last event was returned."""
        ...

    async def __anext__(self) -> list[Event]: ...

    def keep_alive_chunk(self) -> Event:
        """Return a chunk that adds nothing to the answer, in place of an empty batch, for clients that take no comments."""
        ...

    async def abort(self, error: Exception) -> None: ...
    async def aclose(self) -> None: ...
    async def abandon(self) -> None: ...


class ResponseBody(ByteStream, Protocol):
    """The body of a response that is sent in pieces: a `StreamBody` or a `WholeBody`."""

    @property
    def is_done(self) -> bool:
        """Whether the last piece was returned, so that an adapter can mark it as the last."""
        ...

    def __anext__(self) -> Coroutine[Any, Any, bytes]: ...

    async def abandon(self) -> None:
        """Close the body without asking a store: called by the garbage collector."""
        ...


class StreamBody:
    """The `ResponseBody` of a streamed answer. A failure is written as its last piece (docs/contract.md, Streams).

    Args:
        chunks: chunks of the answer.
        framing: framing of the route's dialect.
        is_stop: tells whether an exception cancels the request because the server stops.
    """

    __slots__ = ("_chunks", "_framing", "_is_stop", "is_done")

    def __init__(self, chunks: ChunkSource, framing: Framing, is_stop: Callable[[BaseException], bool]) -> None:
        self._chunks = chunks
        self._framing = framing
        self._is_stop = is_stop
        self.is_done = False
        """Whether the last piece was returned, so that an adapter can mark it as the last."""

    async def __anext__(self) -> bytes:
        if self.is_done:
            raise StopAsyncIteration
        try:
            events = await self._chunks.__anext__()
            self.is_done = self._chunks.is_done
            return self._framing.frame(events) if events else self._framing.frame_keep_alive(self._chunks.keep_alive_chunk())
        except ClientDisconnectedError:
            raise StopAsyncIteration from None
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.is_done = True
            if isinstance(error, GatewayError):
                return self._framing.frame_error(error)
            # A model in this process can yield a value that cannot be written as JSON.
            await self._chunks.abort(error)
            return self._framing.frame_error(InternalError())
        except BaseException as error:
            if not self._is_stop(error):
                raise
            self.is_done = True
            return self._framing.frame_error(server_shutdown_error())

    async def aclose(self) -> None:
        await self._chunks.aclose()

    async def abandon(self) -> None:
        """Close the upstream without asking a store: called by the garbage collector."""
        await self._chunks.abandon()
