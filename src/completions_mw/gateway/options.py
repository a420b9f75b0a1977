"""Options of a gateway: the keyword arguments of `Gateway` and `AsyncGateway`, and of adapters that build one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypedDict

from completions_mw.core.budgets.budgets import OnBudget
from completions_mw.core.cache import SemanticCache
from completions_mw.core.keys.authentication import Authenticate
from completions_mw.core.ports import ModelFunction, Transport
from completions_mw.settings.base import suggestion

if TYPE_CHECKING:
    from completions_mw.backends.credentials import TokenFunction
    from completions_mw.providers.custom import CustomFormat


class GatewayOptions(TypedDict, total=False):
    """Keyword arguments of a gateway, for its type checks. Each may be left out, or be None."""

    models: Mapping[str, ModelFunction] | None
    """Python functions as models, by the name that clients send."""
    embeddings: Mapping[str, ModelFunction] | None
    """Python functions as embeddings models, by the name that clients send (docs/embeddings.md)."""
    providers: "Mapping[str, CustomFormat] | None"
    """Wire formats of the host app, by the `format` of the providers with `api = "custom"` (docs/extending.md, A wire format)."""
    credentials: "Mapping[str, TokenFunction] | None"
    """Functions that return a bearer token, by the name of the provider that gets it: for tokens that expire."""
    authenticate: Authenticate | None
    """The host app's own login: called with a `Request` that has no valid API key; returns a `Caller`, an id, or None to refuse."""
    transport: Transport | None
    """Used for all calls to upstreams instead of the built-in HTTP client. The gateway does not close it."""
    on_budget: OnBudget | None
    """Called with a `BudgetAlert` once when a budget reaches 50, 80 and 100 per cent, and when it refuses its first request."""
    semantic_cache: SemanticCache | None
    """Cache of the host app, asked for the answer to a similar request where no identical one was answered. Needs `cache.enabled`."""


_MAPPINGS: Final = ("models", "embeddings", "providers", "credentials")


def check_options(options: Mapping[str, Any]) -> None:
    """Check the names of keyword arguments, and which of them are mappings, at run time: `Unpack` is only for type checkers.

    Raises:
        TypeError: a name is not an option, and the message suggests one; or an option is not a mapping, as it should be.
    """
    known = GatewayOptions.__annotations__
    for name, value in options.items():
        if name not in known:
            raise TypeError(f"`{name}` is not an option of a gateway; {suggestion(name, known)}")
        if name in _MAPPINGS and not isinstance(value, Mapping | None):
            raise TypeError(f'`{name}` should be a mapping, as {{"name": …}}, not {type(value).__name__}')
