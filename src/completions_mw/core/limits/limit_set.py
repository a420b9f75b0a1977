"""Sets of limits: what one key, caller, tenant or model is limited to, and all that applies to a request."""

from collections.abc import Sequence
from functools import cached_property

from completions_mw.core.keys.scopes import Scope
from completions_mw.core.limits.headers import Family, LimitHeaders
from completions_mw.core.ports import Lease, Window
from completions_mw.settings import Limits


class LimitSet:
    """Limits of one key, caller, tenant or model, or all limits that apply to a request, with all that depends on them alone.

    Args:
        rates: limits on requests and tokens, each with its family of headers.
        leases: limits on concurrency.
    """

    def __init__(self, rates: Sequence[tuple[Family, Window]] = (), leases: Sequence[Lease] = ()) -> None:
        self.rates = tuple(rates)
        self.windows = tuple(window for _, window in rates)
        """Limits on requests and tokens."""
        self.leases = tuple(leases)
        self.counts_tokens = any(window.counts_tokens for window in self.windows)
        """Whether one of `windows` is a limit on tokens."""
        self.is_returned = self.counts_tokens or bool(leases)
        """Whether the store must be told when a request ends: it holds leases, or reserved tokens that may be unused."""
        self.headers = LimitHeaders([(family, window.limit) for family, window in rates])

    def __add__(self, other: "LimitSet") -> "LimitSet":
        """Return the limits of both sets."""
        return LimitSet((*self.rates, *other.rates), (*self.leases, *other.leases))

    @cached_property
    def admission(self) -> "LimitSet":
        """The limits on requests and concurrency, which admit a request."""
        return LimitSet([rate for rate in self.rates if not rate[1].counts_tokens], self.leases)

    @cached_property
    def reservation(self) -> "LimitSet":
        """The limits on tokens, of which a request reserves some."""
        return LimitSet([rate for rate in self.rates if rate[1].counts_tokens])


def limit_set(scope: Scope, limits: Limits) -> LimitSet:
    """Return the limits of a scope; no two scopes share the name of a bucket."""
    owner = scope.label
    requests = [Window(f"{owner}:requests:{rate.seconds}", rate.amount, rate.seconds, counts_tokens=False) for rate in limits.requests]
    tokens = [Window(f"{owner}:tokens:{rate.seconds}", rate.amount, rate.seconds, counts_tokens=True) for rate in limits.tokens]
    family: Family = "project-tokens" if scope.kind == "tenant" else "tokens"
    rates: list[tuple[Family, Window]] = [("requests", window) for window in requests]
    rates += [(family, window) for window in tokens]
    return LimitSet(rates, [Lease(f"{owner}:concurrency", limits.concurrency)] if limits.concurrency else [])
