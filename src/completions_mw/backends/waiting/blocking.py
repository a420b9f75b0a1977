"""Waits and races of threads and greenlets."""

import select
import time
from collections.abc import Callable, Coroutine
from typing import Any

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.polling import new_poll
from completions_mw.backends.waiting.thread_race import ThreadRace
from completions_mw.core.ports.waiting import Contestant, T
from completions_mw.errors import ClientDisconnectedError
from completions_mw.http import ClientConnection


class BlockingWaiting:
    """The `Waiting` port for threads and greenlets."""

    async def pause(self, seconds: float, connection: ClientConnection | None) -> None:
        until = SYSTEM_CLOCK.monotonic() + seconds
        if connection is not None and (watched := connection.fileno()) >= 0:
            poll = new_poll()
            poll.register(watched, select.POLLIN)
            if poll.poll(seconds * 1000) and connection.is_gone():
                raise ClientDisconnectedError
        # A client that has sent its next request already can be read, and is not gone.
        time.sleep(max(0.0, until - SYSTEM_CLOCK.monotonic()))  # noqa: ASYNC251 - nothing suspends here; gevent patches it

    async def race(
        self,
        first: Contestant[T],
        second: Contestant[T],
        delay: float,
        connection: ClientConnection | None,
        drop: Callable[[T], Coroutine[Any, Any, None]],
    ) -> T | None:
        race = ThreadRace(connection, drop)
        try:
            race.begin(first)
            if not race.wait(delay):
                race.begin(second)
            while race.is_open:
                race.wait()
            return race.result()
        finally:
            race.end()
