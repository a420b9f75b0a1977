"""Rate limits and concurrency.

limiter.py        `RateLimiter`: checks a request against its limits
errors.py         the texts of 429, and the `x-ratelimit-` headers
guarded_store.py  the admission store as requests use it: falls back to a share of each limit while the store is down
"""

from completions_mw.core.limits.limiter import RateLimiter

__all__ = ["RateLimiter"]
