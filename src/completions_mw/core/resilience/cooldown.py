"""Cooldowns: an upstream that has said when it wants to be asked again is left alone until then, for each of its API keys."""

from itertools import count


class Cooldowns:
    """The API keys of a target, which take turns. One that was refused or is at its rate limit is passed over for a while.

    Times are seconds of the monotonic clock.

    Args:
        keys: number of keys, at least one; also 1 for an upstream without a key.
    """

    __slots__ = ("_turns", "_until", "ready_at")

    def __init__(self, keys: int = 1) -> None:
        self._until = [0.0] * keys
        self.ready_at = 0.0
        """Time at which the next key is ready; in the past while one is."""
        # Its `next` gives no number to two threads.
        self._turns = count()

    def __len__(self) -> int:
        return len(self._until)

    def next_key(self, now: float) -> int:
        """Return the index of the key whose turn it is; if all cool down, of the one that is ready first."""
        turn, keys = next(self._turns), len(self._until)
        order = [(turn + step) % keys for step in range(keys)]
        return next((key for key in order if self._until[key] <= now), min(order, key=self._until.__getitem__))

    def cool(self, key: int, until: float) -> None:
        """Pass over a key until a time, or longer if it cools down for longer already."""
        self._until[key] = max(self._until[key], until)
        self.ready_at = min(self._until)
