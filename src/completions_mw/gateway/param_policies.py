"""What happens to vendors' parameters at each model, from the settings of the model, of its providers, and in general."""

from collections.abc import Mapping
from typing import Final

from completions_mw.core.validation.vendor_params import ParamPolicies, ParamPolicy
from completions_mw.settings import ModelSettings, ProviderSettings, Settings
from completions_mw.settings.types import UnknownParams

_STRICTEST_FIRST: Final[tuple[UnknownParams, ...]] = ("reject", "ignore", "forward")


def param_policies(settings: Settings) -> ParamPolicies:
    """Return the function from a model's name to its policy. What one target would refuse, no target of a model gets."""
    general = ParamPolicy(settings.unknown_params)
    of_providers = {name: _policy_of_provider(provider, general) for name, provider in settings.providers.items()}
    policies = {name: _policy(model, of_providers, general) for name, model in settings.models.items()}
    return lambda name: policies.get(name, general)


def _policy_of_provider(provider: ProviderSettings, general: ParamPolicy) -> ParamPolicy:
    if provider.is_local:
        return general
    forwarded = provider.safe_params if provider.forward_params is None else provider.forward_params
    return ParamPolicy(provider.unknown_params or general.unknown, forwarded)


def _policy(model: ModelSettings, of_providers: Mapping[str, ParamPolicy], general: ParamPolicy) -> ParamPolicy:
    targets = [of_providers[target.provider] for target in model.targets]
    unknown = {policy.unknown for policy in targets}
    strictest = next((one for one in _STRICTEST_FIRST if one in unknown), general.unknown)
    forwarded = frozenset[str].intersection(*(policy.forwarded for policy in targets)) if targets else frozenset[str]()
    return ParamPolicy(model.unknown_params or strictest, forwarded | model.forward_params)
