"""How much a Gemini model thinks, and the signatures of its thoughts, which it wants back.

Sources: https://ai.google.dev/gemini-api/docs/thinking, https://ai.google.dev/gemini-api/docs/thought-signatures, and for the levels of
effort and the place of signatures Google's own translation, https://ai.google.dev/gemini-api/docs/openai.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from completions_mw.providers.untranslatable import untranslatable

_version: Final = re.compile(r"gemini-(\d+)").search
_LEVELS_SINCE: Final = 3
"""First generation whose models take levels in place of budgets, and refuse calls without signatures."""
_LEVELS: Final = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH"}
_BUDGETS: Final = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Tokens of thoughts at each effort, for models of earlier generations, which take budgets."""
_UNSIGNED: Final = "skip_thought_signature_validator"
"""Signature that the API accepts for calls that another model made, or whose signature the client has lost."""


def thinking_config(model: str, effort: str | None) -> dict[str, Any] | None:
    """Return the `thinkingConfig` for a `reasoning_effort`; None for a request without one, which some models would refuse.

    Raises:
        InvalidRequestError: the model does not know this effort.
    """
    if effort is None:
        return None
    efforts: Mapping[str, Any] = _LEVELS if _has_levels(model) else _BUDGETS
    if effort not in efforts:
        raise untranslatable("reasoning_effort", f"takes {', '.join(map(repr, efforts))} for this model")
    name = "thinkingLevel" if efforts is _LEVELS else "thinkingBudget"
    return {name: efforts[effort], "includeThoughts": effort != "none"}


def signature_of(signed: Mapping[str, Any]) -> str | None:
    """Return the signature in a message or tool call that a client sends back, which is unvalidated; None if it has none."""
    found: Any = signed
    for name in ("extra_content", "google", "thought_signature"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) and found else None


def signed(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the member that carries the signature of a part to the client, if the part has one."""
    signature = part.get("thoughtSignature")
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def call_signature(model: str, call: Mapping[str, Any], *, is_first: bool) -> dict[str, Any]:
    """Return the member with the signature of a call in the history: of parallel calls, only the first one has to have it."""
    signature = signature_of(call) or (_UNSIGNED if is_first and _has_levels(model) else None)
    return {"thoughtSignature": signature} if signature else {}


def _has_levels(model: str) -> bool:
    """Return whether a model is of a generation with levels; so are names without a number, as `gemini-flash-latest`."""
    version = _version(model)
    return version is None or int(version[1]) >= _LEVELS_SINCE
