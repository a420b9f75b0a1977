"""The bodies that an async server receives take a bounded memory together (docs/promises.md, Bounds)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from completions_mw import AsyncGateway, Settings
from completions_mw.adapters.asgi import CompletionsMiddleware

KEY = "sk-canary-client-key"
MOST = 1_000_000
PIECE = 100_000
SCOPE: dict[str, Any] = {
    "type": "http",
    "http_version": "1.1",
    "method": "POST",
    "path": "/api/v1/chat/completions",
    "headers": [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")],
}


class Slow:
    """A client that sends a piece of its body, and the rest when it is told to."""

    def __init__(self, app: Any, first: bytes, rest: bytes) -> None:
        self._pieces = [first, rest]
        self.has_begun = asyncio.Event()
        self.go = asyncio.Event()
        self.sent: list[Any] = []
        self.task = asyncio.create_task(app(SCOPE.copy(), self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._pieces:
            await asyncio.Event().wait()
        piece = self._pieces.pop(0)
        if not self._pieces:
            self.has_begun.set()
            await self.go.wait()
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def code(self) -> Any:
        return json.loads(self.sent[1]["body"])["error"]["code"]


@asynccontextmanager
async def app() -> AsyncIterator[CompletionsMiddleware]:
    tree = {"models": {"m": {}}, "keys": {"a": {"secret": KEY}}, "max_buffered_bytes": MOST}
    async with AsyncGateway(Settings.from_mapping(tree), models={"m": lambda _: "hi"}) as gateway:
        yield CompletionsMiddleware(None, gateway)


def body(size: int) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * size}]}).encode()


def test_unfinished_bodies_are_bounded_together_and_their_room_comes_back() -> None:
    async def scenario() -> None:
        whole = body(PIECE)
        async with app() as asgi:
            waiting = [Slow(asgi, whole[:PIECE], whole[PIECE:]) for _ in range(MOST // PIECE)]
            await asyncio.gather(*(client.has_begun.wait() for client in waiting))
            late = Slow(asgi, whole[:PIECE], whole[PIECE:])
            late.go.set()
            await late.task
            assert (late.status, late.code) == (503, "overloaded")
            small = Slow(asgi, b"", b"{")
            small.go.set()
            await small.task
            assert small.status == 503
            waiting[0].task.cancel()
            await asyncio.wait([waiting[0].task])
            for client in waiting[1:]:
                client.go.set()
                await client.task
            again = Slow(asgi, whole[:PIECE], whole[PIECE:])
            again.go.set()
            await again.task
            assert [client.status for client in (*waiting[1:], again)] == [200] * (MOST // PIECE)

    asyncio.run(scenario())
