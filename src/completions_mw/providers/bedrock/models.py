"""Parameters that the models of Bedrock's vendors take under names of their own, in `additionalModelRequestFields`.

A model is known by its name, which is part of its id and of the ARN of its inference profile; an application inference profile does not
tell its model. Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html and the page of each vendor below.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from completions_mw.providers.untranslatable import untranslatable

_claude_version: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2})(?!\d))?").search
_ADAPTIVE_SINCE: Final = (4, 6)
"""Version from which on Claude chooses the length of its thoughts itself, by an effort."""
_CLAUDE_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_CLAUDE_BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}


def vendor_params(model: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of the request that `reasoning_effort` and `top_k` become.

    Raises:
        InvalidRequestError: the model does not take one of them, or its value.
    """
    translate = next((make for name, make in _VENDORS.items() if name in model), _unknown)
    # 0 and -1 stand for no limit.
    top_k = fields.get("top_k", 0)
    return translate(model, fields.get("reasoning_effort"), top_k if top_k > 0 else None)


def _claude(model: str, effort: str | None, top_k: int | None) -> dict[str, Any]:
    """Sources: the pages model-parameters-anthropic-claude-messages.html and claude-messages-adaptive-thinking.html of the user guide."""
    more: dict[str, Any] = {} if top_k is None else {"top_k": top_k}
    config: dict[str, Any] = {}
    found = _claude_version(model)
    if effort == "none":
        more["thinking"] = {"type": "disabled"}
    elif effort is not None and (found is None or (int(found[1]), int(found[2] or 0)) >= _ADAPTIVE_SINCE):
        more["thinking"], config = {"type": "adaptive"}, {"outputConfig": {"effort": _CLAUDE_EFFORTS[effort]}}
    elif effort is not None:
        more["thinking"] = {"type": "enabled", "budget_tokens": _known(effort, _CLAUDE_BUDGETS)}
    return {**_additional(more), **config}


def _nova(model: str, effort: str | None, top_k: int | None) -> dict[str, Any]:
    """Sources: the page complete-request-schema.html of the Nova user guide and extended-thinking.html of that for Nova 2."""
    more: dict[str, Any] = {} if top_k is None else {"inferenceConfig": {"topK": top_k}}
    if effort is not None and "nova-2" not in model:
        raise untranslatable("reasoning_effort", "has no reasoning for this model", is_value=False)
    if effort == "none":
        more["reasoningConfig"] = {"type": "disabled"}
    elif effort is not None:
        efforts = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}
        more["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": _known(effort, efforts)}
    return _additional(more)


def _gpt_oss(model: str, effort: str | None, top_k: int | None) -> dict[str, Any]:
    """Source: the page model-parameters-openai.html of the user guide."""
    if top_k is not None:
        raise untranslatable("top_k", "does not take it for this model", is_value=False)
    efforts = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}
    return {} if effort is None else _additional({"reasoning_effort": _known(effort, efforts)})


def _unknown(model: str, effort: str | None, top_k: int | None) -> dict[str, Any]:
    for name, value in (("reasoning_effort", effort), ("top_k", top_k)):
        if value is not None:
            raise untranslatable(name, "does not take it for this model", is_value=False)
    return {}


_VENDORS: Final[dict[str, Callable[[str, str | None, int | None], dict[str, Any]]]] = {
    "anthropic.claude": _claude,
    "amazon.nova": _nova,
    "openai.gpt-oss": _gpt_oss,
}


def _additional(more: dict[str, Any]) -> dict[str, Any]:
    return {"additionalModelRequestFields": more} if more else {}


def _known(effort: str, efforts: Mapping[str, Any]) -> Any:
    if effort not in efforts:
        raise untranslatable("reasoning_effort", f"takes {', '.join(map(repr, efforts))} for this model")
    return efforts[effort]
