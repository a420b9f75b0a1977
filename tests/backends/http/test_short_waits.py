"""Waits that are nearly over when news come, on both event loops."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.async_connection import AsyncHttpConnection

SHORT = 0.0004
"""Seconds: uvloop takes less than half a millisecond for none."""


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_wait_after_one_that_was_nearly_over(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def wait_twice(connection: AsyncHttpConnection) -> None:
        await connection.wait(SYSTEM_CLOCK.monotonic() + SHORT, None)
        assert not await connection.wait(0.0, None)

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            connection = AsyncHttpConnection(asyncio.get_running_loop(), ours)
            for _ in range(200):
                waiting = asyncio.create_task(wait_twice(connection))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                connection.resume_writing()
                await waiting

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
