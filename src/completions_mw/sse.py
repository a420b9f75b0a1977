"""Server-sent events as chat completions use them (SPEC section 8, FAULTS section 4): encoder and decoder, bytes only."""

from typing import Any, Final, NamedTuple


class Event(NamedTuple):
    """One event of an answer: a JSON object, and the bytes it was parsed from if they can still be relayed as they came."""

    data: dict[str, Any]
    raw: bytes | None = None


DONE: Final = Event({}, b"[DONE]")
"""The event that ends a complete answer; compared by identity."""
