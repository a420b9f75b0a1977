"""The stop of a server that ends its process without telling the app."""

import signal
from typing import Final, Protocol, cast
from weakref import WeakSet

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.ports import Stopping

POLL_SECONDS: Final = 0.1
"""Seconds between two looks at the server, as often as uvicorn looks at itself."""
SETTLE_SECONDS: Final = 0.5
"""Seconds of the server's grace that are kept for settlements: as long as one call of the ledger may take."""
SETTLE_SHARE: Final = 0.25
"""Maximum part of the server's grace that is kept for settlements."""


class WatchedServer:
    """The server of the running event loop: tells others when it stops, and when the grace of its requests is nearly over.

    Without a lifespan, as under Django, uvicorn tells the app nothing: it cancels its requests after `--timeout-graceful-shutdown`, and
    then raises the signal again, which ends the process before a cancelled task runs. Only its flag shows the stop, and is polled. Other
    servers are not known.
    """

    def __init__(self) -> None:
        self._server = _uvicorn()
        self._stopping: WeakSet[Stopping] = WeakSet()
        self._cut_at: float | None = None
        """When the grace is nearly over; None until the server stops."""

    @property
    def is_known(self) -> bool:
        """Whether the server shows that it stops."""
        return self._server is not None

    @property
    def is_stopping(self) -> bool:
        """Whether the server was told to stop."""
        return self._server is not None and self._server.should_exit

    def add(self, stopping: Stopping) -> bool:
        """Tell `stopping` too; return whether it is new."""
        is_new = stopping not in self._stopping
        if is_new:
            self._stopping.add(stopping)
        return is_new

    async def check(self) -> None:
        """Look at the server."""
        if self._server is None or not self.is_stopping:
            return
        now = SYSTEM_CLOCK.monotonic()
        if self._cut_at is None:
            grace = self._server.config.timeout_graceful_shutdown
            # Without a bound, uvicorn waits for its requests.
            self._cut_at = float("inf") if grace is None else now + grace - min(SETTLE_SECONDS, grace * SETTLE_SHARE)
            for stopping in tuple(self._stopping):
                await stopping.begin()
        if now >= self._cut_at:
            self._cut_at = float("inf")
            for stopping in tuple(self._stopping):
                await stopping.cut()


class _Config(Protocol):
    timeout_graceful_shutdown: int | None


class _Server(Protocol):
    """What is read of `uvicorn.Server`."""

    should_exit: bool
    config: _Config


def _uvicorn() -> _Server | None:
    """Return the `uvicorn.Server` that handles SIGTERM in this process; None if there is none."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    has_grace = hasattr(getattr(server, "config", None), "timeout_graceful_shutdown")
    return cast("_Server", server) if has_grace and hasattr(server, "should_exit") else None
