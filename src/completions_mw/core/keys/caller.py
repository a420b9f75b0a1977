"""Callers: the users of the endpoint, with their rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal

from completions_mw.core.context import RequestContext
from completions_mw.settings import Budget, Limits


@dataclass(frozen=True, slots=True)
class Caller:
    """A user of the endpoint, as an `authenticate` hook may return it.

    Args:
        id: id of the key, or of the user in the host app (a number becomes text); appears in logs.
        tenant: organization whose limits and budget the caller shares with others; empty for none.
        models: names of models that the caller may use; None for all.
        metadata: the operator's own notes.
        limits: the caller's limits; None for the limits of `callers` in the settings.
        budget: the caller's budget; None for the budget of `callers` in the settings.
        max_cost: USD that one request may cost at most; None for the `max_cost` of the settings.
        scope: `key` for the owner of a key, whose limits and budget are separate from those of a hook's caller with the same id.

    Raises:
        TypeError: the id is empty, or a rule has a wrong type, as one name for `models` instead of a set of names.
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

    def may_use(self, model: str) -> bool:
        """Return whether the caller may use `model`."""
        return self.models is None or model in self.models


@dataclass(frozen=True, slots=True)
class NestedCaller(Caller):
    """The caller of an in-process model that itself requests another model for that caller.

    The caller pays for the inner request. The caller's rate limits count only the outer request while it runs: with a concurrency of 1,
    the inner request could never be admitted.
    """

    outer: RequestContext | None = field(default=None, repr=False, compare=False)

    @property
    def is_nested(self) -> bool:
        """Whether the outer request is still running."""
        return self.outer is not None and self.outer.is_open


def nested(caller: Caller, outer: RequestContext) -> NestedCaller:
    """Return `caller` for requests that are made while answering the request `outer`."""
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
    # Apps use False, 0 and "" for a missing user; True would become the id "True".
    if isinstance(value, str | int) and value and value is not True:
        return str(value)
    raise TypeError(f"a caller's `id` should be text or a number, and not empty, not {type(value).__name__}")


CallerLike = Caller | str | int
"""A `Caller` with rules of its own, or only a caller's id."""


def to_caller(value: CallerLike | None) -> Caller | None:
    """Return a caller for a value of the host app; None for None, an empty id, 0 and False."""
    return value if isinstance(value, Caller) else Caller(_id(value)) if value else None
