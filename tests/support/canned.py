"""A transport without a network: what upstreams answer is written in the test, and what they were asked can be read there."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pydantic_core import to_json

from completions_mw.http import Headers, UpstreamRequest, UpstreamResponse


class Reply(NamedTuple):
    """An upstream's answer."""

    pieces: Sequence[bytes]
    content_type: str = "application/json"
    status: int = 200
    headers: Headers = ()


def whole(data: object, status: int = 200) -> Reply:
    """Return an answer of one JSON document."""
    return Reply([to_json(data)], status=status)


class _Body:
    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(pieces)

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)

    def detach(self, tick: float) -> None: ...
    async def finish(self) -> None: ...
    async def aclose(self) -> None: ...


class CannedTransport:
    """The `Transport` of a test.

    Args:
        reply: returns the answer to a request.
    """

    def __init__(self, reply: Callable[[UpstreamRequest], Reply]) -> None:
        self._reply = reply
        self.requests: list[UpstreamRequest] = []

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        self.requests.append(request)
        reply = self._reply(request)
        headers = (("content-type", reply.content_type), *reply.headers)
        return UpstreamResponse(reply.status, headers, _Body(reply.pieces))

    async def aclose(self) -> None: ...
