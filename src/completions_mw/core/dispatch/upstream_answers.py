"""The answers of an upstream as they are read: the events of a stream, and the whole of a body."""

from collections.abc import Callable
from typing import Final

from completions_mw.errors import GatewayError, UpstreamError
from completions_mw.http import UpstreamBody
from completions_mw.providers.base import Translator
from completions_mw.sse import Event

TOO_LARGE_CODE: Final = "upstream_too_large"


class UpstreamEvents:
    """The `EventSource` of an upstream's stream: feeds the body to the translator of the wire format.

    Args:
        body: the body.
        translator: translator of this stream.
        limit: bytes that the body may have.
        complete_error: is given an error, and the status of the answer, before the error is raised.
    """

    __slots__ = ("_body", "_complete_error", "_ended", "_failure", "_limit", "_room", "_translator")

    def __init__(self, body: UpstreamBody, translator: Translator, limit: int, complete_error: Callable[[GatewayError, int], None]) -> None:
        self._body = body
        self._translator = translator
        self._limit = self._room = limit
        self._complete_error = complete_error
        self._ended = False
        self._failure: GatewayError | None = None

    async def __anext__(self) -> list[Event]:
        # One flat function, because it runs for every chunk.
        translator = self._translator
        while self._failure is None and not self._ended:
            try:
                piece = await self._body.__anext__()
            except StopAsyncIteration:
                self._ended = True
                events = translator.end()
            else:
                self._room -= len(piece)
                if self._room < 0:
                    self._fail(answer_too_large_error())
                    break
                events = translator.feed(piece) if piece else []
            if translator.fault is not None:
                self._fail(translator.fault)
                if translator.fault.usage is not None:
                    events.append(Event({"choices": [], "usage": translator.fault.usage}))
            if events or not (self._ended or self._failure):
                # Without any for a keep-alive interval, or for bytes that make no event yet.
                return events
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    def _fail(self, error: GatewayError) -> None:
        """Raise `error` after the events before it have been returned."""
        if error.code == TOO_LARGE_CODE:
            # A server that sends its answer as one event bills it like a whole answer.
            error.received, error.next_target = self._limit - self._room, False
        self._complete_error(error, 200)
        self._failure = error

    def detach(self, tick: float) -> None:
        self._body.detach(tick)

    async def finish(self) -> None:
        await self._body.finish()

    async def aclose(self) -> None:
        await self._body.aclose()


async def read_whole(body: UpstreamBody, limit: int, *, ends_in_silence: bool = False) -> bytes:
    """Return all bytes of a body.

    Args:
        body: body to be read.
        limit: bytes that it may have.
        ends_in_silence: whether an interval without news ends the body.

    Raises:
        UpstreamError: the body has more than `limit` bytes, or was cut off.
        UpstreamTimeoutError: the body did not end in time.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        while size <= limit:
            piece = await body.__anext__()
            if not piece and ends_in_silence:
                await body.aclose()
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
        await body.aclose()
        raise answer_too_large_error()
    except StopAsyncIteration:
        return b"".join(pieces)
    except BaseException as error:
        await body.aclose()
        if isinstance(error, GatewayError):
            error.received = size
        raise


def answer_too_large_error() -> UpstreamError:
    """Return the error for an answer that exceeds `max_response_bytes` (docs/promises.md, Bounds)."""
    return UpstreamError("The upstream provider sent more than is accepted.", code=TOO_LARGE_CODE)
