"""The addresses of upstreams, for event loops."""

import asyncio
import socket
from functools import partial
from typing import Any

from completions_mw.backends.http.request_head import Origin

Addresses = list[tuple[Any, ...]]


class Lookups:
    """The look-ups of one event loop. Calls to the same upstream share one.

    Each takes a thread until its name server answers. The threads of an event loop are few, and one upstream's name must not take them all.
    """

    def __init__(self) -> None:
        self._running: dict[Origin, asyncio.Future[Addresses]] = {}

    async def addresses(self, origin: Origin) -> Addresses:
        """Return the addresses of `origin`, as `socket.getaddrinfo` does.

        Raises:
            OSError: there are none, or they cannot be looked up.
        """
        resolve = partial(socket.getaddrinfo, origin.host, origin.port, type=socket.SOCK_STREAM)
        try:
            return resolve(flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            # A name.
            pass
        running = self._running.get(origin)
        if running is None:
            running = self._running[origin] = asyncio.get_running_loop().run_in_executor(None, resolve)
            running.add_done_callback(partial(self._end, origin))
        # Unlike `await`, this cancels nothing that others wait for.
        await asyncio.wait([running])
        return running.result()

    def _end(self, origin: Origin, ended: "asyncio.Future[Addresses]") -> None:
        del self._running[origin]
        if not ended.cancelled():
            # Else asyncio would log a failure for which nobody waits any more.
            ended.exception()
