"""The requests that finished a moment ago."""

from typing import Final

FINISHED_MS: Final = 5_000
"""Milliseconds for which a finished request is remembered at least, so that a call that was under way meanwhile cannot revive it."""


class FinishedRequests:
    """Remembers the requests that finished in the last `FINISHED_MS`, and at most those of twice this time.

    Requests are added to the newer of two sets. Every `FINISHED_MS` the older set is dropped as a whole, and the newer one takes its place,
    so that no time is kept for each request, and none is searched for to be dropped.
    """

    __slots__ = ("_forgotten", "_newer", "_older", "_turn")

    def __init__(self) -> None:
        self._newer: set[str] = set()
        self._older: set[str] = set()
        self._forgotten: set[str] = set()
        """What is left of former sets, freed one by one, since to free them together would take milliseconds."""
        self._turn = 0
        """Monotonic time in milliseconds at which `_newer` takes the place of `_older`."""

    def add(self, request_id: str, now: int) -> None:
        """Remember a request that finishes at the monotonic time `now`, in milliseconds."""
        if now >= self._turn:
            self._take_turns(now)
        self._newer.add(request_id)
        if self._forgotten:
            self._forgotten.pop()

    def has(self, request_id: str, now: int) -> bool:
        """Return whether a request is remembered at the monotonic time `now`, in milliseconds."""
        if request_id not in self._newer and request_id not in self._older:
            return False
        if now >= self._turn:
            self._take_turns(now)
        return request_id in self._newer or request_id in self._older

    def _take_turns(self, now: int) -> None:
        self._forgotten = self._older
        if now < self._turn + FINISHED_MS:
            self._older = self._newer
            self._turn += FINISHED_MS
        else:
            self._older = set()
            self._turn = now + FINISHED_MS
        self._newer = set()
