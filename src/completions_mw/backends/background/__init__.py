"""Work beside requests: the `Background` port, in threads and on event loops.

background.py    `BlockingBackground` and `AsyncBackground`
blocking.py      a thread that repeats work
asynchronous.py  repeated work on an event loop
work.py          repeated work, and what is logged of its failures
"""

from completions_mw.backends.background.background import AsyncBackground, BlockingBackground

__all__ = ["AsyncBackground", "BlockingBackground"]
