"""The options of a gateway: its keyword arguments, and those of whatever builds one for a host app."""

from collections.abc import Iterable, Mapping
from typing import TypedDict

from completions_mw.core.budgets.budgets import OnBudget
from completions_mw.core.keys.authentication import Authenticate
from completions_mw.core.ports import ModelFunction, Transport
from completions_mw.settings.base import suggestion


class GatewayOptions(TypedDict, total=False):
    """What a gateway takes beside its settings; each option may be left out, or be None."""

    models: Mapping[str, ModelFunction] | None
    """Python functions as models, by the name that clients send."""
    authenticate: Authenticate | None
    """The host app's login, called with the `Request` of a caller without a valid key; returns a `Caller`, an id or None."""
    transport: Transport | None
    """Makes the calls to all upstreams instead of the built-in HTTP client; whoever made it closes it."""
    on_budget: OnBudget | None
    """Called once with a `BudgetAlert` when a budget reaches 50, 80 and 100 per cent, or refuses its first request."""


def check_option_names(names: Iterable[str]) -> None:
    """Refuse keyword arguments that are no options: `Unpack` is for type checkers, and stops nobody at run time.

    Raises:
        TypeError: names the first one, and the option that was probably meant.
    """
    known = GatewayOptions.__annotations__
    for name in names:
        if name not in known:
            raise TypeError(f"`{name}` is no option of a gateway; {suggestion(name, known)}")
