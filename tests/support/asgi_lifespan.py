"""Starts and ends an ASGI app as a server does."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from anyio.from_thread import BlockingPortal

PATIENCE = 10


@contextmanager
def lifespan_of(app: Callable[[Any, Any, Any], Awaitable[None]], portal: BlockingPortal) -> Iterator[None]:
    """Run the lifespan of `app` around a `with` block."""
    to_app, from_server = anyio.create_memory_object_stream[dict[str, str]](1)
    to_server, from_app = anyio.create_memory_object_stream[dict[str, str]](1)

    async def run() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, from_server.receive, to_server.send)

    async def step(name: str) -> None:
        await to_app.send({"type": f"lifespan.{name}"})
        assert await from_app.receive() == {"type": f"lifespan.{name}.complete"}

    with to_app, from_server, to_server, from_app:
        running = portal.start_task_soon(run)
        portal.call(step, "startup")
        yield
        portal.call(step, "shutdown")
        running.result(PATIENCE)
