"""Parameters of a chat request that several APIs take under other names."""

from collections.abc import Mapping
from typing import Any, Final

from completions_mw.schemas import ChatRequest

OPENAI_ONLY: Final = frozenset(
    [
        "audio",
        "function_call",
        "functions",
        "logit_bias",
        "metadata",
        "moderation",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "store",
        "verbosity",
        "web_search_options",
    ]
)
"""Parameters that OpenAI's API has, and no other that is not made after it."""
_DECLARED: Final = frozenset(ChatRequest.model_fields)


def maximum_of(fields: Mapping[str, Any], cap: int | None) -> int | None:
    """Return the maximum of completion tokens: `cap`, else the larger one of the request, as upstreams differ in which they obey."""
    return (
        cap if cap is not None else max((fields[name] for name in ("max_tokens", "max_completion_tokens") if name in fields), default=None)
    )


def stop_of(fields: Mapping[str, Any]) -> list[str] | None:
    """Return the stop sequences as a list; None if the request has none."""
    stop = fields.get("stop")
    return [stop] if isinstance(stop, str) else stop


def vendor_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that OpenAI's API does not have, which are here because the settings forward them."""
    return {name: value for name, value in fields.items() if name not in _DECLARED}


def without_nothing(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}
