"""Rate limits and concurrency.

limiter.py        `RateLimiter`: checks a request against its limits
limit_set.py      `LimitSet`: the limits of a key, caller, tenant or model, and all that apply to a request
headers.py        `LimitHeaders`: the `x-ratelimit-` headers
errors.py         the texts of 429
durations.py      durations in both
guarded_store.py  the admission store as requests use it: falls back to a share of each limit while the store is down
"""

from completions_mw.core.limits.limiter import RateLimiter

__all__ = ["RateLimiter"]
