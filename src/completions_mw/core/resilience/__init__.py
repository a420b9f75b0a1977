"""Resilience: a failing store must not delay or fail every request.

breaker.py       `Breaker`: stops calling a store that does not answer
store_health.py  `StoreHealth`: calls a store through its breaker, and logs its failures
throttle.py      `Throttle`: at most one turn every N seconds, across threads
"""

from completions_mw.core.resilience.store_health import StoreHealth, StoreSnapshot
from completions_mw.core.resilience.throttle import Throttle

__all__ = ["StoreHealth", "StoreSnapshot", "Throttle"]
