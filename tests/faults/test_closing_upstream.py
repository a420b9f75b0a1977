"""An upstream that closes its connections at any moment costs nobody an answer (docs/promises.md, Targets and fallback)."""

import asyncio
import json
import re
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from completions_mw import Request
from tests.faults.conftest import Answer, AsyncClient, BlockingClient, request, settings_for
from tests.support.loop_thread import LoopThread
from tests.support.upstream import MockUpstream

REQUESTS = 300
AT_ONCE = 10
LARGE = "x" * 600_000
"""More than the network holds: the upstream closes while it is sent."""
WAYS = ("keep", "FIN behind the answer", "RST behind the answer", "keep", "FIN while idle", "RST while idle")
"""What the upstream does with a connection on which it has answered, in turn."""


class ClosingUpstream(LoopThread):
    """Closes each connection in another way; one that is kept, when its next request begins."""

    def __init__(self) -> None:
        super().__init__()
        self.port = 0
        self.seen: Counter[str] = Counter()
        """How often there was something of a way."""
        self.answered: Counter[int] = Counter()
        """How often each request was, by its number."""

    async def open(self) -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Closing(self), "127.0.0.1", backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._server = server

    async def close(self) -> None:
        self._server.close()


class Closing(asyncio.Protocol):
    def __init__(self, upstream: ClosingUpstream) -> None:
        self._upstream = upstream
        self._received = b""
        self._answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._answers:
            # What it holds of the request is lost, and nothing was answered.
            seen = self._upstream.seen
            seen["closed while sending"] += 1
            return self._reset() if seen["closed while sending"] % 2 else self._transport.close()
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length is not None and len(body) == int(length[1]):
            self._answer(int(json.loads(body)["messages"][0]["content"]))

    def _answer(self, number: int) -> None:
        upstream = self._upstream
        way = WAYS[upstream.answered.total() % len(WAYS)]
        upstream.answered[number] += 1
        upstream.seen[way] += 1
        self._answers += 1
        message = {"role": "assistant", "content": str(number)}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "ok", "choices": choices, "usage": usage}
        body = json.dumps(answer).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        end = self._reset if way.startswith("RST") else self._transport.close
        if way.endswith("answer"):
            end()
        elif way.endswith("idle"):
            asyncio.get_running_loop().call_later(0.003, end)

    def _reset(self) -> None:
        connection: socket.socket = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


@pytest.fixture
def closing() -> Iterator[ClosingUpstream]:
    with ClosingUpstream() as server:
        yield server


def numbered(number: int) -> Request:
    return request("ok", str(number), **({"user": LARGE} if number % 3 == 0 else {}))


def send_all(client: BlockingClient | AsyncClient) -> list[Answer]:
    requests = [numbered(number) for number in range(REQUESTS)]
    if isinstance(client, BlockingClient):
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(client.send, requests))

    async def one(request: Request, places: asyncio.Semaphore) -> Answer:
        async with places:
            return await client.asend(request)

    async def all_of_them() -> list[Answer]:
        places = asyncio.Semaphore(AT_ONCE)
        return await asyncio.gather(*[one(request, places) for request in requests])

    return client.runner.run(all_of_them())


@pytest.mark.parametrize("kind", [BlockingClient, AsyncClient], ids=["blocking", "async"])
def test_requests_over_connections_that_the_upstream_closes(
    upstream: MockUpstream, closing: ClosingUpstream, kind: type[BlockingClient | AsyncClient]
) -> None:
    provider = {"api": "openai", "base_url": f"http://127.0.0.1:{closing.port}/v1", "api_key": "sk"}
    client = kind(settings_for(upstream, providers={"up": provider}, connections={"max": AT_ONCE // 2, "wait": 60}))
    answers = send_all(client)
    assert Counter(answer.status for answer in answers) == {200: REQUESTS}
    assert [answer.text for answer in answers] == [str(number) for number in range(REQUESTS)]
    assert closing.answered == dict.fromkeys(range(REQUESTS), 1)
    assert closing.seen["closed while sending"] >= 10, closing.seen
    client.close()
