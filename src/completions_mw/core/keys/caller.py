"""Somebody who may use the endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal

from completions_mw.core.context import RequestContext
from completions_mw.settings import Budget, Limits


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may use the endpoint; what an `authenticate` hook returns.

    Args:
        id: the key's id, or the user's in the host app (a number becomes text); appears in logs.
        tenant: on whose behalf the caller acts; its limits and budget are shared. The caller's own id by default.
        models: names that the caller may use; None for all.
        metadata: the operator's own notes.
        limits: instead of those that the settings have for all `callers`.
        budget: likewise.
        max_cost: USD that one request may cost at most; the general one by default.
        scope: `key` for the owners of keys, whose limits are not those of a caller with the same id.

    Raises:
        TypeError: it is nobody, or a rule is not what it should be, as one name for `models` instead of a set of names.
    """

    id: str
    tenant: str = ""
    models: frozenset[str] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    budget: Budget | None = None
    max_cost: Decimal | str | None = None
    scope: Literal["key", "caller"] = "caller"

    def __post_init__(self) -> None:
        if isinstance(self.models, str):
            raise TypeError("a caller's `models` should be a set of names, not str")
        object.__setattr__(self, "id", _id(self.id))
        if self.limits is not None and not isinstance(self.limits, Limits):
            raise TypeError(f"a caller's `limits` should be a Limits, not {type(self.limits).__name__}")
        if self.budget is not None and not isinstance(self.budget, Budget):
            raise TypeError(f"a caller's `budget` should be a Budget, not {type(self.budget).__name__}")
        if self.max_cost is not None:
            object.__setattr__(self, "max_cost", _usd(self.max_cost))
        object.__setattr__(self, "tenant", self.tenant or self.id)

    def may_use(self, model: str) -> bool:
        """Tell whether `model` is on the caller's allow list."""
        return self.models is None or model in self.models


@dataclass(frozen=True, slots=True)
class NestedCaller(Caller):
    """The caller of a model in this process, who asks another model within its answer.

    What the inner request costs is charged to the caller. For the caller's rate limits the outer request alone counts, as long as it is
    under way: with a concurrency of 1 the inner one would wait for ever.
    """

    outer: RequestContext | None = field(default=None, repr=False, compare=False)

    @property
    def is_nested(self) -> bool:
        """Whether the outer request is still under way."""
        return self.outer is not None and self.outer.is_open


def nested(caller: Caller, outer: RequestContext) -> NestedCaller:
    """Return `caller` as it asks within the request `outer`."""
    values = {name: getattr(caller, name) for name in Caller.__match_args__}
    return NestedCaller(**values, outer=outer)


def _usd(value: object) -> Decimal:
    try:
        usd = Decimal(value) if isinstance(value, str | int | Decimal) else Decimal("NaN")
    except InvalidOperation:
        usd = Decimal("NaN")
    if not (usd.is_finite() and usd >= 0):
        raise TypeError("a caller's `max_cost` should be USD as a Decimal or as text")
    return usd


def _id(value: object) -> str:
    # False, 0 and "" are what apps have for nobody; True would be somebody of that name.
    if isinstance(value, str | int) and value and value is not True:
        return str(value)
    raise TypeError(f"a caller's `id` should be text or a number, and not empty, not {type(value).__name__}")


CallerLike = Caller | str | int
"""Who is calling: a `Caller` with rules of its own, or just an id."""


def to_caller(who: CallerLike | None) -> Caller | None:
    """Return the caller that the host app names; None where it names nobody."""
    return who if isinstance(who, Caller) else Caller(_id(who)) if who else None
