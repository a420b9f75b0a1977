"""Rate limits and concurrency.

limiter.py        `RateLimiter`: decides whether a request is over one of its limits
errors.py         the texts of 429 and the `x-ratelimit-` headers
durations.py      durations as those headers have them
guarded_store.py  the store of counters, and each process's share of a limit while it is down
"""

from completions_mw.core.limits.limiter import RateLimiter

__all__ = [
    "RateLimiter",
]
