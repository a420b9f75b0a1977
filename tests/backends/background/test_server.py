"""A uvicorn that is told to stop; what it then does to real requests is in tests/servers/test_store_lives.py."""

import asyncio
import signal
from collections.abc import Iterator

import pytest
import uvicorn

from completions_mw.adapters.asgi import no_app
from completions_mw.backends.background import AsyncBackground
from completions_mw.backends.background.server import WatchedServer


class Told:
    """A `Stopping` that notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.is_cut = asyncio.Event()

    async def begin(self) -> None:
        self.calls.append("begin")

    async def cut(self) -> None:
        self.calls.append("cut")
        self.is_cut.set()


def uvicorn_with(grace: int | None) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(no_app, log_config=None, timeout_graceful_shutdown=grace))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[uvicorn.Server]:
    """A server that handles signals; the parameter is its grace."""
    server = uvicorn_with(request.param)
    with server.capture_signals():
        yield server


@pytest.mark.parametrize(("server", "calls"), [(0, ["begin", "cut"]), (60, ["begin"]), (None, ["begin"])], indirect=["server"])
def test_who_is_told_what_when_the_server_stops(server: uvicorn.Server, calls: list[str]) -> None:
    async def scenario() -> None:
        watched, told = WatchedServer(), Told()
        assert watched.is_known
        assert [watched.add(told), watched.add(told)] == [True, False]
        await watched.check()
        assert told.calls == []
        server.should_exit = True
        for _ in range(3):
            await watched.check()
        assert told.calls == calls

    asyncio.run(scenario())


@pytest.mark.parametrize("server", [0], indirect=True)
def test_the_background_looks_at_the_server_by_itself(server: uvicorn.Server) -> None:
    async def scenario() -> None:
        background, told = AsyncBackground(), Told()
        background.watch_server(told)
        server.should_exit = True
        await told.is_cut.wait()
        await background.aclose()

    asyncio.run(scenario())


def test_other_servers_are_not_known() -> None:
    handler = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert not WatchedServer().is_known
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_requests_that_run_are_cancelled_and_those_that_have_ended_are_not_kept() -> None:
    async def scenario() -> None:
        background = AsyncBackground()
        cancellers = []
        begun = asyncio.Event()

        async def request(*, ends: bool) -> None:
            cancellers.append(background.canceller())
            begun.set()
            if not ends:
                await asyncio.Event().wait()

        await asyncio.create_task(request(ends=True))
        running = asyncio.create_task(request(ends=False))
        begun.clear()
        await begun.wait()
        for cancel in cancellers:
            cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())
