"""What all streams of a gateway have in common."""

from typing import NamedTuple

from completions_mw.core.ports import Background, Clock
from completions_mw.core.streaming.finishing import Finishing
from completions_mw.errors import GatewayError, RequestTimeoutError, UpstreamTimeoutError


class StreamRules(NamedTuple):
    """Bounds of streams, and what they need of their gateway. Times are in seconds, infinite for never."""

    clock: Clock
    background: Background
    """Watches streams, and completes their ends."""
    keep_alive: float
    """Silence after which the client gets a keep-alive."""
    send_timeout: float
    """Time in which the client must take a chunk."""
    finishing: Finishing | None = None
    """Answers that are read to their end without their clients; None where they are stopped."""

    def overdue(self, given_at: float | None, deadline: float) -> GatewayError | None:
        """Return why a stream must end whose reader stays away; None if it may go on.

        Args:
            given_at: when the reader got its last batch; None while it waits for the next one.
            deadline: when the answer must be complete.
        """
        now = self.clock.monotonic()
        if given_at is None:
            return None
        if now >= deadline:
            late = UpstreamTimeoutError("The answer was not complete in time.")
            late.maybe_billed = True
            return late
        if now - given_at >= self.send_timeout:
            return RequestTimeoutError(f"The client did not take its answer for {self.send_timeout:g} seconds.", code="send_timeout")
        return None
