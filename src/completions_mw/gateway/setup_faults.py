"""Faults of settings and options that only show where the two meet."""

from collections.abc import Iterator

from completions_mw.core.hooks import missing_method, uncallable_reason
from completions_mw.gateway.kinds import functions_of, kind_faults
from completions_mw.gateway.options import GatewayOptions
from completions_mw.gateway.param_policies import forwarding_faults
from completions_mw.settings import Settings
from completions_mw.settings.base import suggestion


def setup_faults(settings: Settings, options: GatewayOptions) -> Iterator[str]:
    """Yield a line for each fault, with the path of the setting or the name of the option.

    Args:
        settings: all settings.
        options: keyword arguments of the gateway.
    """
    functions = functions_of(options)
    yield from kind_faults(settings, options)
    yield from forwarding_faults(settings, options)
    if not (settings.models or functions):
        yield "models: at least one is needed, here or as a Python function"
    for name, model in settings.models.items():
        if model.targets and name in functions:
            yield f"models.{name}: has targets, and is given as a Python function"
        if not model.targets and name not in functions:
            yield f"models.{name}.targets: at least one is needed, or a Python function of this name"
        are_upstreams = [not settings.providers[target.provider].is_local for target in model.targets]
        if model.hedge and not (are_upstreams and all(are_upstreams)):
            yield f"models.{name}.hedge: is for models whose targets are all upstreams"
    yield from (f"models.{name}: {fault}" for name, function in functions.items() if (fault := uncallable_reason(function)))
    if (transport := options.get("transport")) is not None:
        methods = {"send": ("request",), "aclose": ()}
        yield from (f"transport: {fault}" for name, taken in methods.items() if (fault := missing_method(transport, name, taken)))
        proxied = [name for name, provider in settings.providers.items() if not provider.is_local and provider.proxy is not None]
        yield from (f"providers.{name}.proxy: is not used by the `transport` that the gateway was given" for name in proxied)
    for name, function in (options.get("credentials") or {}).items():
        if name not in settings.providers:
            yield f"credentials: `{name}` is not a provider; {suggestion(name, settings.providers)}"
        elif (provider := settings.providers[name]).is_local or provider.api_key is not None or provider.api_keys:
            yield f"credentials.{name}: the provider {'needs none' if provider.is_local else 'has an `api_key` already'}"
        elif fault := uncallable_reason(function, None):
            yield f"credentials.{name}: {fault}"
    known = [*dict.fromkeys([*settings.models, *functions])]
    for id, key in settings.keys.items():
        unknown = ((at, name) for at, name in enumerate(key.models or ()) if name not in known)
        yield from (f"keys.{id}.models[{at}]: no such model; {suggestion(name, known)}" for at, name in unknown)
