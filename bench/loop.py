"""The event loop of the benchmark's own processes: uvloop where it is installed."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

try:
    import uvloop as library
except ImportError:
    import asyncio as library  # type: ignore[no-redef]


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end."""
    with asyncio.Runner(loop_factory=library.new_event_loop) as runner:
        return runner.run(main)
