"""Local variables in tracebacks: the error pages of frameworks and error trackers show them, and ours hold keys, prompts and passwords.

`clear_locals` empties finished frames, so that a traceback still shows its lines and their files.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final

_PACKAGES: Final = frozenset(("completions_mw", "psycopg", "redis", "pydantic", "httpx2", "httpcore2"))
"""Packages whose local variables are ours: this one, and those that it hands keys, prompts and passwords to."""


def clear_locals(error: BaseException) -> None:
    """Forget the local variables of finished frames of this package and of its drivers, in an exception and all that are chained to it."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            left += (one.__cause__, one.__context__)
            _clear(one.__traceback__)


@contextmanager
def private_locals() -> Iterator[None]:
    """Clear the local variables below the `with` block in whatever it raises."""
    try:
        yield
    except Exception as error:
        clear_locals(error)
        raise


def _clear(traceback: TracebackType | None) -> None:
    while traceback is not None:
        frame = traceback.tb_frame
        if str(frame.f_globals.get("__name__")).partition(".")[0] in _PACKAGES:
            # A frame that is still being executed keeps its variables.
            with suppress(RuntimeError):
                frame.clear()
        traceback = traceback.tb_next
