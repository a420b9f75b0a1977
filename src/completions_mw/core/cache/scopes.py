"""Who shares cached answers with whom."""

from functools import lru_cache
from typing import Final, Literal

from completions_mw.core.keys.caller import Caller
from completions_mw.core.keys.scopes import APP_SCOPE, Scope, ScopeKind

Sharing = Literal["tenant", "key", "global"]
"""Who shares answers: the callers of a tenant, each key or caller only with itself, or all callers."""

GLOBAL_LABEL: Final = "global:"
"""Scope of all callers, whose kind no other scope has."""


def sharing_label(caller: Caller | None, sharing: Sharing) -> str:
    """Return the label of the scope within which a caller shares answers; its own scope, if it has no tenant.

    Args:
        caller: the caller; None for the host app itself.
        sharing: who shares answers.
    """
    if sharing == "global":
        return GLOBAL_LABEL
    if caller is None:
        return APP_SCOPE.label
    return _label("tenant", caller.tenant) if sharing == "tenant" and caller.tenant else _label(caller.scope, caller.id)


@lru_cache(maxsize=1024)
def _label(kind: ScopeKind, name: str) -> str:
    return Scope(kind, name).label


def labels_named(*, tenant: str | None, key: str | None, caller: str | None) -> tuple[str, ...] | None:
    """Return the labels of the scopes with these names, for purges; None for all scopes, if no name is given."""
    named = (Scope("tenant", tenant or ""), Scope("key", key or ""), Scope("caller", caller or ""))
    labels = tuple(scope.label for scope in named if scope.name)
    return labels or None
