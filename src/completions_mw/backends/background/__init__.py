"""Work beside requests: the `Background` port, in threads and on event loops.

blocking.py      `BlockingBackground`, and the thread that repeats work
asynchronous.py  `AsyncBackground`, and the tasks that repeat work
server.py        `WatchedServer`: when uvicorn stops, and how long it waits for its requests
watch.py         `Watch`: what is checked every second while it lasts
work.py          repeated work, and the log lines of its failures
"""

from completions_mw.backends.background.asynchronous import AsyncBackground
from completions_mw.backends.background.blocking import BlockingBackground

__all__ = ["AsyncBackground", "BlockingBackground"]
