"""What is checked every second while it lasts, as the streams of one process or event loop."""

from typing import Final
from weakref import ref

from completions_mw.core.ports import Watched

CHECK_SECONDS: Final = 1.0
"""Seconds between two checks."""


class Watch:
    """What is checked, referred to weakly: what is dropped is not kept by its watch."""

    def __init__(self) -> None:
        # A dict, because threads add to it while it is read, and each of its methods is atomic.
        self._watched: dict[int, ref[Watched]] = {}

    def add(self, watched: Watched) -> None:
        key = id(watched)
        self._watched[key] = ref(watched, lambda _: self._watched.pop(key, None))

    def discard(self, watched: Watched) -> None:
        self._watched.pop(id(watched), None)

    async def check(self) -> None:
        """Check everything once, also if some of the checks fail.

        Raises:
            Exception: a check failed; of several failures the last one.
        """
        failure: Exception | None = None
        for reference in self._watched.copy().values():
            watched = reference()
            if watched is not None:
                failure = await _failure(watched) or failure
        if failure is not None:
            raise failure


async def _failure(watched: Watched) -> Exception | None:
    try:
        await watched.check()
    except Exception as error:
        return error
    return None
