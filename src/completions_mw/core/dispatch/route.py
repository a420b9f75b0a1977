"""The route of a model: which of its targets are asked for a request, and in which order (docs/routing.md, Order and weights)."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from completions_mw.core.dispatch.targets import Target
from completions_mw.core.resilience.chance import draw
from completions_mw.settings import FallbackOn


class Weighted(NamedTuple):
    """A target, and its share of the requests in proportion to the weights of the targets beside it."""

    target: Target
    weight: float


Group = tuple[Weighted, ...]
"""Targets that share the requests; most groups have one."""


@dataclass(frozen=True, slots=True)
class Route:
    """Targets of a model, chosen once from the settings, so that a request decides nothing that its model has decided.

    The groups are tried in their order. Within a group a weight is drawn, each with its share of the requests. Of the targets with this
    weight two are drawn, and the one that answers sooner is asked first.
    """

    groups: tuple[Group, ...]
    """At least one, each with at least one target."""
    fallback_on: Set[FallbackOn] = frozenset()
    """Failures after which the next target is asked too."""
    limit: float | None = None
    """Setting of `seconds`; None for the `total` of the target that may take longest."""
    answers: int = 1
    """Maximum of answers that a request may be billed for: more than 1 where it is sent again while the first attempt may go on."""
    hedges: bool = False
    """Whether a second target is asked if the first one takes longer than it mostly does."""
    is_exposed: bool = True
    """Whether clients are told which target answered."""
    draw: Callable[[], float] = field(default=draw, compare=False)
    """Returns a random number, at least 0 and below 1."""
    targets: tuple[Target, ...] = field(init=False)
    """All targets, in the order of the settings."""
    seconds: float = field(init=False)
    """Seconds for all attempts of a request together."""
    is_shorter: bool = field(init=False)
    """Whether `seconds` is less than some target may take for one answer."""
    is_single: bool = field(init=False)
    """Whether there is only one target, so that nothing has to be chosen."""
    is_in_order: bool = field(init=False)
    """Whether no targets share requests."""

    def __post_init__(self) -> None:
        targets = tuple(weighted.target for group in self.groups for weighted in group)
        object.__setattr__(self, "targets", targets)
        longest = max(target.total for target in targets)
        object.__setattr__(self, "seconds", longest if self.limit is None else self.limit)
        object.__setattr__(self, "is_shorter", self.seconds < longest)
        object.__setattr__(self, "is_single", len(targets) == 1)
        object.__setattr__(self, "is_in_order", len(targets) == len(self.groups))
        for group in self.groups:
            for weighted in group if self.hedges else _that_compete(group):
                weighted.target.health.measure()

    @classmethod
    def in_order(cls, *targets: Target) -> "Route":
        """Return the route of targets without weights."""
        return cls(tuple((Weighted(target, 1.0),) for target in targets))

    def candidates(self, now: float, skipped: Sequence[Target] = ()) -> Sequence[Target]:
        """Return the targets that may be asked for a request, in the order in which they are asked.

        One that has an open breaker is left out until its next probe is due. One that cools down is left out if there is another one.

        Args:
            now: seconds of the monotonic clock.
            skipped: targets that do not take the request.
        """
        if self.is_single:
            return self.targets
        able = [target for target in self.targets if target not in skipped] if skipped else self.targets
        healthy = [target for target in able if not target.health.breaker.is_in_doubt or not target.health.breaker.seconds_until_probe()]
        ready = [target for target in healthy if target.health.keys.ready_at <= now] or healthy
        if self.is_in_order:
            return ready
        order: list[Target] = []
        for group in self.groups:
            rest = [weighted for weighted in group if weighted.target in ready]
            while rest:
                chosen = rest[0] if len(rest) == 1 else self._choose(rest, now)
                rest.remove(chosen)
                order.append(chosen.target)
        return order

    def _choose(self, group: Sequence[Weighted], now: float) -> Weighted:
        """Return the target of a group that is asked first."""
        left = self.draw() * sum(weighted.weight for weighted in group)
        chosen = group[-1]
        for weighted in group:
            left -= weighted.weight
            if left < 0:
                chosen = weighted
                break
        equals = [weighted for weighted in group if weighted.weight == chosen.weight and weighted is not chosen]
        if not equals:
            return chosen
        other = equals[int(self.draw() * len(equals))]
        return min(chosen, other, key=lambda one: 0.0 if one.target.health.latency is None else one.target.health.latency.cost(now))


def _that_compete(group: Group) -> Group:
    """Return the targets of a group whose weight others in it have too."""
    weights = [weighted.weight for weighted in group]
    return tuple(weighted for weighted in group if weights.count(weighted.weight) > 1)
