"""How requests wait between their attempts, and for the sooner of two: the `Waiting` port.

blocking.py      `BlockingWaiting`: threads and greenlets
asynchronous.py  `AsyncWaiting`: tasks of an event loop
thread_race.py   `ThreadRace`: threads that work for the same result
"""
