"""Parameters of a request that several APIs take under other names, or do not have."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

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
"""Parameters of OpenAI's API for which APIs of a design of their own have no counterpart."""


def maximum_of(fields: Mapping[str, Any], cap: int | None) -> int | None:
    """Return the maximum of completion tokens: `cap`, else the larger one of the request, as upstreams differ in which they obey."""
    return (
        cap if cap is not None else max((fields[name] for name in ("max_tokens", "max_completion_tokens") if name in fields), default=None)
    )


def stop_of(fields: Mapping[str, Any]) -> list[str] | None:
    """Return the stop sequences as a list; None if the request has none."""
    stop = fields.get("stop")
    return [stop] if isinstance(stop, str) else stop


def vendor_fields(fields: Mapping[str, Any], schema: type[BaseModel] = ChatRequest) -> dict[str, Any]:
    """Return the parameters that OpenAI's API does not have, and that the settings forward to the upstream.

    Args:
        fields: fields of the request.
        schema: OpenAI's schema of the request.
    """
    return {name: value for name, value in fields.items() if name not in schema.model_fields}


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members whose value is not None."""
    return {name: value for name, value in members.items() if value is not None}
