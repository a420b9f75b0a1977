"""How identical requests wait for one call: the `Flights` port.

blocking.py      `BlockingFlights`: threads and greenlets
asynchronous.py  `AsyncFlights`: tasks of an event loop
"""
