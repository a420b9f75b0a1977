"""The budget for retries: a failing upstream gets few more requests than a healthy one (docs/routing.md, Retries)."""

from completions_mw.core.resilience.recent import RECENT_SECONDS, RecentCount
from completions_mw.settings import RetrySettings


class RetryBudget:
    """Allows retries as a part of the requests of the last 10 seconds, and some each second in any case.

    Args:
        rules: the part, and the number.
        requests: requests to the upstream, without retries.
    """

    __slots__ = ("_min_per_second", "_ratio", "_requests", "_retries")

    def __init__(self, rules: RetrySettings, requests: RecentCount) -> None:
        self._ratio = rules.ratio
        self._min_per_second = rules.min_per_second
        self._requests = requests
        self._retries = RecentCount()

    def take(self, now: float) -> bool:
        """Return whether a retry is allowed at `now`, in seconds of the monotonic clock, and count it if so."""
        allowed = self._ratio * self._requests.total(now) + self._min_per_second * RECENT_SECONDS
        if self._retries.total(now) + 1 > allowed:
            return False
        self._retries.add(now)
        return True
