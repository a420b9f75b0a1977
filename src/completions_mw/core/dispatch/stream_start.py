"""The start of an answer whose content type does not say that it is a stream."""

from completions_mw.http import UpstreamBody
from completions_mw.sse import is_start_of_stream


async def read_start(body: UpstreamBody) -> tuple[bytes, bool]:
    """Return the first bytes of a body, and whether they begin a stream of server-sent events.

    Raises:
        GatewayError: the body was cut off.
    """
    start = b""
    is_stream: bool | None = None
    try:
        while is_stream is None:
            start += await body.__anext__()
            is_stream = is_start_of_stream(start)
    except StopAsyncIteration:
        is_stream = False
    return start, is_stream


class RejoinedBody:
    """The `UpstreamBody` of an answer of which the start was read already.

    Args:
        start: bytes that were read; at least one.
        body: the rest.
    """

    __slots__ = ("_body", "_start")

    def __init__(self, start: bytes, body: UpstreamBody) -> None:
        self._start = start
        self._body = body

    async def __anext__(self) -> bytes:
        if start := self._start:
            self._start = b""
            return start
        return await self._body.__anext__()

    def detach(self, tick: float) -> None:
        self._body.detach(tick)

    async def finish(self) -> None:
        await self._body.finish()

    async def aclose(self) -> None:
        await self._body.aclose()
