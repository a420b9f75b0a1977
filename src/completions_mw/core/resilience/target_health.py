"""Health of a target in this process: whether it is asked, and how soon it answers (docs/routing.md)."""

from completions_mw.core.ports import Clock
from completions_mw.core.resilience.breaker import Breaker
from completions_mw.core.resilience.cooldown import Cooldowns
from completions_mw.core.resilience.latency import Latency
from completions_mw.core.resilience.recent import RecentCount
from completions_mw.core.resilience.retry_budget import RetryBudget
from completions_mw.settings import BreakerSettings, RetrySettings


class TargetHealth:
    """Health of a target: its breaker, the cooldowns of its keys, its budget for retries, and its latency.

    All requests of the process share it, whichever model they name. Times are seconds of the monotonic clock.

    Args:
        clock: time.
        retries: the table `[retries]`.
        breaker: the table `[breaker]`.
        keys: number of API keys that take turns.
    """

    __slots__ = ("_clock", "_failures", "_requests", "_rules", "breaker", "keys", "latency", "retries")

    def __init__(self, clock: Clock, retries: RetrySettings, breaker: BreakerSettings, keys: int = 1) -> None:
        self._clock = clock
        self._rules = breaker
        self._requests = RecentCount()
        self._failures = RecentCount()
        self.breaker = Breaker(clock, breaker.failures, breaker.reset_timeout)
        self.keys = Cooldowns(keys)
        self.retries = RetryBudget(retries, self._requests)
        self.latency: Latency | None = None
        """Latency; None until `measure` is called, since most targets are not chosen by it."""

    def measure(self) -> None:
        """Measure the latency from now on."""
        self.latency = self.latency or Latency()

    def next_key(self) -> int:
        """Return the index of the API key whose turn it is."""
        return self.keys.next_key(self._clock.monotonic())

    def count(self, now: float) -> None:
        """Count a request that is not a retry."""
        self._requests.add(now)

    def succeeded(self, asked: float) -> bool:
        """Note that a request that was made at the time `asked` is being answered, and return whether that closed the breaker."""
        breaker = self.breaker
        if not breaker.is_in_doubt:
            return False
        was_open = breaker.is_open
        if was_open and asked <= breaker.opened_at:
            # Asked when all was well: it says nothing of the requests that have failed since then.
            return False
        breaker.succeeded()
        if was_open:
            self._failures.clear()
        return was_open

    def failed(self, now: float) -> bool:
        """Note a failure that is the target's fault, and return whether it opened the breaker."""
        if not self._rules.enabled:
            return False
        was_open = self.breaker.is_open
        self.breaker.failed()
        self._failures.add(now)
        requests = self._requests.total(now)
        if requests >= self._rules.min_requests and self._failures.total(now) >= self._rules.failure_rate * requests:
            self.breaker.open()
        return self.breaker.is_open and not was_open
