"""Scopes: whose limits, budgets, usage and cached answers something is. Owners of different kinds never meet by having the same name."""

from typing import Literal, NamedTuple
from urllib.parse import quote

from completions_mw.core.keys.caller import Caller

ScopeKind = Literal["key", "caller", "tenant", "model", "app"]


class Scope(NamedTuple):
    """Owner of counters, money or stored answers."""

    kind: ScopeKind
    """`key`, `caller` (a user of the host app's login), `tenant`, `model`, or `app` for the host app itself."""
    name: str
    """Id of the owner among the owners of its kind; empty for the host app itself."""

    @property
    def label(self) -> str:
        """Name of the scope in the keys of a store: unique for each scope, in printable ASCII, with its only colon after the kind."""
        return f"{self.kind}:{quote(self.name, safe='', errors='surrogatepass')}"


APP_SCOPE = Scope("app", "")
"""Scope of the host app itself, which calls without a caller."""


def own_scope(caller: Caller | None) -> Scope:
    """Return the scope of a caller alone: its key, or its login in the host app; None is the host app itself."""
    return APP_SCOPE if caller is None else Scope(caller.scope, caller.id)


def tenant_scope(caller: Caller | None) -> Scope | None:
    """Return the scope of a caller's tenant; None if it has no tenant."""
    return Scope("tenant", caller.tenant) if caller is not None and caller.tenant else None
