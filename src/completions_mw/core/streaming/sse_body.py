"""A streamed answer as the body of an HTTP response."""

from completions_mw.core.streaming.chunks import ChunkStream
from completions_mw.errors import ClientDisconnectedError, GatewayError, InternalError, error_body
from completions_mw.sse import KEEP_ALIVE, Event, encode


class SseBody:
    """A `ByteStream` of server-sent events. A failure is its last event, without `[DONE]` after it (SPEC section 8)."""

    __slots__ = ("_chunks", "_failed")

    def __init__(self, chunks: ChunkStream) -> None:
        self._chunks = chunks
        self._failed = False

    @property
    def ended(self) -> bool:
        """Whether the last piece was given, so that a server can be told with it."""
        return self._failed or self._chunks.given

    async def __anext__(self) -> bytes:
        if self._failed:
            raise StopAsyncIteration
        try:
            events = await self._chunks.__anext__()
            if len(events) == 1:
                return encode(events[0])
            return b"".join(map(encode, events)) if events else KEEP_ALIVE
        except ClientDisconnectedError:
            raise StopAsyncIteration from None
        except GatewayError as error:
            return self._fail(error)
        except StopAsyncIteration:
            raise
        except Exception as error:
            # A model in this process can give what is not JSON.
            await self._chunks.abort(error)
            return self._fail(InternalError())

    def _fail(self, error: GatewayError) -> bytes:
        self._failed = True
        return encode(Event(dict(error_body(error))))

    async def aclose(self) -> None:
        await self._chunks.aclose()
