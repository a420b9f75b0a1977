"""Resilience: a failing store or upstream must not delay or fail every request.

breaker.py        `Breaker`: stops calling what does not answer
store_health.py   `StoreHealth`: calls a store through its breaker, and logs its failures
target_health.py  `TargetHealth`: whether a target is asked, and how soon it answers
cooldown.py       `Cooldowns`: API keys that are passed over for a while
retry_budget.py   `RetryBudget`: how many retries an upstream gets
latency.py        `Latency`: how soon a target answers
recent.py         `RecentCount`: how often something happened in the last seconds
chance.py         random numbers that are no secrets
throttle.py       `Throttle`: at most one turn every N seconds, across threads
"""

from completions_mw.core.resilience.store_health import StoreHealth, StoreSnapshot
from completions_mw.core.resilience.target_health import TargetHealth
from completions_mw.core.resilience.throttle import Throttle

__all__ = ["StoreHealth", "StoreSnapshot", "TargetHealth", "Throttle"]
