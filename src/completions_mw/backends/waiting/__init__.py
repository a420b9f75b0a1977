"""How requests wait between their attempts: the `Waiting` port.

blocking.py      `BlockingWaiting`: threads and greenlets
asynchronous.py  `AsyncWaiting`: tasks of an event loop
"""
