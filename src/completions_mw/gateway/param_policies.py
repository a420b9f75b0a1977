"""What happens to vendors' parameters at each model, from the settings of the model, of its providers, and in general."""

from typing import Final

from completions_mw.core.validation.vendor_params import ParamPolicies, ParamPolicy
from completions_mw.settings import ModelSettings, Settings
from completions_mw.settings.types import UnknownParams

_STRICTEST_FIRST: Final[tuple[UnknownParams, ...]] = ("reject", "ignore", "forward")


def param_policies(settings: Settings) -> ParamPolicies:
    """Return the function from a model's name to its policy. What one target would refuse, no target of a model gets."""
    general = ParamPolicy(settings.unknown_params)
    policies = {name: _policy(settings, model) for name, model in settings.models.items()}
    return lambda name: policies.get(name, general)


def _policy(settings: Settings, model: ModelSettings) -> ParamPolicy:
    unknown: set[UnknownParams] = set()
    forwarded: frozenset[str] | None = None
    for target in model.targets:
        provider = settings.providers[target.provider]
        names: frozenset[str] = frozenset()
        found: UnknownParams | None = None
        if not provider.is_local:
            found = provider.unknown_params
            names = provider.safe_params if provider.forward_params is None else provider.forward_params
        unknown.add(found or settings.unknown_params)
        forwarded = names if forwarded is None else forwarded & names
    strictest = next((one for one in _STRICTEST_FIRST if one in unknown), settings.unknown_params)
    return ParamPolicy(model.unknown_params or strictest, (forwarded or frozenset()) | model.forward_params)
