"""What all streams of a gateway have in common."""

from typing import NamedTuple

from completions_mw.core.ports import Background, Clock
from completions_mw.core.streaming.finishing import Finishing


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
