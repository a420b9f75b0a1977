"""What happens to vendors' parameters at each model, from the settings of the model, of its providers, and in general."""

from collections.abc import Iterator, Mapping
from typing import Final

from completions_mw.core.validation.vendor_params import ParamPolicies, ParamPolicy
from completions_mw.gateway.kinds import kind_of
from completions_mw.gateway.options import GatewayOptions
from completions_mw.schemas import ChatRequest, EmbeddingRequest
from completions_mw.settings import ModelSettings, ProviderSettings, Settings
from completions_mw.settings.types import ModelKind, UnknownParams

_OPENAIS: Final[Mapping[ModelKind, frozenset[str]]] = {
    # `service_tier` stands for the vendors' own values of it, and OpenAI's API has no `top_k`.
    "chat": frozenset(ChatRequest.model_fields) - {"service_tier", "top_k"},
    "embeddings": frozenset(EmbeddingRequest.model_fields),
}
"""Parameters of OpenAI's API, which need no forwarding, by the kind of the model."""
_STRICTEST_FIRST: Final[tuple[UnknownParams, ...]] = ("reject", "ignore", "forward")


def param_policies(settings: Settings) -> ParamPolicies:
    """Return the function from a model's name to its policy. What one target would refuse, no target of a model gets."""
    general = ParamPolicy(settings.unknown_params)
    of_providers = {name: _policy_of_provider(provider, general) for name, provider in settings.providers.items()}
    policies = {name: _policy(model, of_providers, general) for name, model in settings.models.items()}
    return lambda name: policies.get(name, general)


def forwarding_faults(settings: Settings, options: GatewayOptions) -> Iterator[str]:
    """Yield a line for each name in `forward_params` that does nothing, because OpenAI's API has the parameter.

    Args:
        settings: all settings.
        options: keyword arguments of the gateway.
    """
    kinds: dict[str, set[ModelKind]] = {}
    for name, model in settings.models.items():
        kind = kind_of(name, model, options)
        for target in model.targets:
            kinds.setdefault(target.provider, set()).add(kind)
        yield from _forwarding_faults(f"models.{name}", model.forward_params, {kind})
    for name, provider in settings.providers.items():
        if not provider.is_local:
            yield from _forwarding_faults(f"providers.{name}", provider.forward_params or frozenset(), kinds.get(name) or {"chat"})


def _forwarding_faults(table: str, names: frozenset[str], kinds: set[ModelKind]) -> Iterator[str]:
    for name in sorted(names.intersection(*(_OPENAIS[kind] for kind in kinds))):
        yield f"{table}.forward_params: `{name}` is a parameter of OpenAI's API, and needs no forwarding (see `unsupported_params`)"


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
