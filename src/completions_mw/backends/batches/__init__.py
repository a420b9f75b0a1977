"""Calls of a store that wait together are made together, each with its own answer.

queue.py         `BatchQueue`: who waits, and when the next batch begins; no I/O, no waiting
blocking.py      `BlockingBatches`: a thread or greenlet that waits makes the batch for the others
asynchronous.py  `AsyncBatches`: a task of the event loop makes the batch

A call waits in a queue of this process, where its time does not count: the time that a store has begins with the batch.
"""

from completions_mw.backends.batches.queue import Batches, Bounds, Execute

__all__ = ["Batches", "Bounds", "Execute"]
