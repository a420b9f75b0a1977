"""Parameters that the models of Bedrock's vendors take under names of their own, in `additionalModelRequestFields`.

A model is known by its name, which is part of its id and of the ARN of its inference profile; an application inference profile does not
tell its model. Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html and the page of each vendor below.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from completions_mw.providers.anthropic.thinking import thinking_members
from completions_mw.providers.untranslatable import untranslatable

_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}
_USUAL_MAXIMUM: Final = 32_000
"""Maximum of completion tokens that is assumed for a request without one, where thoughts get a part of it; no thinking model has less."""


class VendorParams(NamedTuple):
    """Parameters of OpenAI's API that the models of each vendor take under other names; None where the request has none."""

    effort: str | None
    """The `reasoning_effort`."""
    top_k: int | None
    maximum: int | None
    """Maximum of completion tokens."""


def vendor_members(model: str, params: VendorParams) -> dict[str, Any]:
    """Return the members of the request that the parameters become.

    Raises:
        InvalidRequestError: the model does not take one of them, or its value.
    """
    translate = next((make for name, make in _VENDORS.items() if name in model), _unknown)
    return translate(model, params)


def _claude(model: str, params: VendorParams) -> dict[str, Any]:
    """Source: the page model-parameters-anthropic-claude-messages-request-response.html of the user guide, and Anthropic's own pages."""
    more: dict[str, Any] = {} if params.top_k is None else {"top_k": params.top_k}
    if params.effort is not None:
        more |= thinking_members(model, params.effort, params.maximum or _USUAL_MAXIMUM)
    # The one member for which Bedrock has a place of its own.
    config = more.pop("output_config", None)
    return {**_additional(more), **({} if config is None else {"outputConfig": config})}


def _nova(model: str, params: VendorParams) -> dict[str, Any]:
    """Sources: the page complete-request-schema.html of the Nova user guide and extended-thinking.html of that for Nova 2."""
    more: dict[str, Any] = {} if params.top_k is None else {"inferenceConfig": {"topK": params.top_k}}
    if params.effort is None:
        return _additional(more)
    if "nova-2" not in model:
        raise untranslatable("reasoning_effort", "does not take it for this model", is_value=False)
    if params.effort == "none":
        return _additional({**more, "reasoningConfig": {"type": "disabled"}})
    return _additional({**more, "reasoningConfig": {"type": "enabled", "maxReasoningEffort": _known(params.effort)}})


def _gpt_oss(model: str, params: VendorParams) -> dict[str, Any]:
    """Source: the page model-parameters-openai.html of the user guide."""
    if params.top_k is not None:
        raise untranslatable("top_k", "does not take it for this model", is_value=False)
    return {} if params.effort is None else _additional({"reasoning_effort": _known(params.effort)})


def _unknown(model: str, params: VendorParams) -> dict[str, Any]:
    for name, value in (("reasoning_effort", params.effort), ("top_k", params.top_k)):
        if value is not None:
            raise untranslatable(name, "does not take it for this model", is_value=False)
    return {}


_VENDORS: Final[dict[str, Callable[[str, VendorParams], dict[str, Any]]]] = {
    "anthropic.claude": _claude,
    "amazon.nova": _nova,
    "openai.gpt-oss": _gpt_oss,
}


def _additional(more: dict[str, Any]) -> dict[str, Any]:
    return {"additionalModelRequestFields": more} if more else {}


def _known(effort: str) -> str:
    if effort not in _EFFORTS:
        raise untranslatable("reasoning_effort", f"takes {', '.join(map(repr, _EFFORTS))} for this model")
    return _EFFORTS[effort]
