"""Models and their targets, from the settings and from Python functions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TypeVar

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.costs.media import rules_of
from completions_mw.core.costs.prices import FREE
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.dispatch.parameters import TargetParams, limited_params
from completions_mw.core.dispatch.route import Route, Weighted
from completions_mw.core.dispatch.targets import InProcessTarget, Target, UpstreamTarget
from completions_mw.core.hooks import uncallable_reason
from completions_mw.core.ports import Clock, Credentials, Model, ModelFunction, Transport
from completions_mw.core.resilience import TargetHealth
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.backends import Backends
from completions_mw.gateway.custom_formats import custom_formats
from completions_mw.gateway.kinds import embedding_faults, functions_of, kind_faults, kind_of
from completions_mw.gateway.options import GatewayOptions
from completions_mw.gateway.prices import highest_price, price_source
from completions_mw.providers.registry import endpoints_of, upstream_of
from completions_mw.settings import (
    EchoSettings,
    LlamaCppSettings,
    ModelSettings,
    ProviderSettings,
    RetrySettings,
    Settings,
    TargetName,
    UpstreamSettings,
)
from completions_mw.settings.base import suggestion
from completions_mw.settings.types import ModelKind, UnsupportedParams

FUNCTION_SETTINGS = ModelSettings(owned_by="python")
"""Settings of a model that is a Python function and has no table in the settings."""
BackendT = TypeVar("BackendT", bound="Transport | Model")


class ModelRegistry:
    """All models of a gateway by name, `models`, and the backends that they need.

    Args:
        settings: all settings.
        options: keyword arguments of the gateway.
        backends: makes the backends.
        share: part of the connections to an upstream, and of the threads of models, that one caller may have.
        clock: time, for what is known of the targets' health.

    Raises:
        ConfigurationError: a provider or model in the settings cannot work, or a function cannot be called.
    """

    def __init__(
        self,
        settings: Settings,
        options: GatewayOptions,
        backends: Backends,
        share: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._backends = backends
        self._injected = options.get("transport")
        self._tokens = options.get("credentials") or {}
        self._options = options
        self._share = share
        self._transports: dict[str | None, Transport] = {}
        self._threads = backends.model_threads(settings, share)
        self._backends_to_close: list[Transport | Model] = []
        self._limited: dict[tuple[TargetName, UnsupportedParams, int | None], Target] = {}
        faults = list(_faults(settings, options))
        if faults:
            raise ConfigurationError("\n".join(faults))
        self._custom = custom_formats(settings, options.get("providers") or {})
        self._makers = {name: self._target_maker(name, provider) for name, provider in settings.providers.items()}
        self._price = price_source(settings)
        functions = functions_of(options)
        tables = {**settings.models, **{name: FUNCTION_SETTINGS for name in functions if name not in settings.models}}
        self.models = {name: self._model(name, model, functions.get(name)) for name, model in tables.items()}

    def _model(self, name: str, model: ModelSettings, function: ModelFunction | None) -> CatalogModel:
        kind = kind_of(name, model, self._options)
        targets: tuple[Target, ...] = tuple(self._target(target, model, kind) for target in model.targets)
        if kind == "embeddings" and (lacking := list(embedding_faults(targets))):
            raise ConfigurationError("\n".join(f"models.{name}.targets[{index}]: {fault}" for index, fault in lacking))
        if function is not None:
            port = self._owned(self._backends.function(function, self._settings, self._threads))
            targets = (InProcessTarget(f"python/{name}", name, port, self._settings.timeouts.total, self._health()),)
        prices = {target.name: price for target in targets if (price := self._price(target.name, model, kind)) is not None}
        ceiling = highest_price([FREE, *prices.values()])
        paid = [target for target in targets if prices.get(target.name, FREE) != FREE] or targets
        media = tuple(rules_of(target.model, model.image_tokens, model.audio_tokens, model.file_tokens) for target in paid)
        route = self._route(targets, model)
        return CatalogModel(name, route, model.created, model.owned_by, prices, ceiling, model.max_output_tokens, media, kind)

    def _target(self, name: TargetName, model: ModelSettings, kind: ModelKind) -> Target:
        """Return a target of a model, which all models share whose settings for it are the same."""
        target, provider = self._makers[name.provider](name.model, kind), self._settings.providers[name.provider]
        if provider.is_local or not isinstance(target, UpstreamTarget):
            return target
        if kind == "embeddings":
            return target
        capabilities = target.upstream.capabilities
        maximum = model.max_output_tokens if capabilities.needs_maximum else None
        if maximum is None and not limited_params(capabilities):
            return target
        policy = model.unsupported_params or provider.unsupported_params or self._settings.unsupported_params
        if (name, policy, maximum) not in self._limited:
            params = TargetParams(target.name, capabilities, policy)
            self._limited[name, policy, maximum] = replace(target, params=params, maximum=maximum)
        return self._limited[name, policy, maximum]

    def _target_maker(self, name: str, provider: ProviderSettings) -> Callable[[str, ModelKind], Target]:
        """Return a function from the name and kind of a provider's model to its target, which all models that name it share."""
        if provider.is_local:
            ports, total = self._local_models(provider), self._settings.timeouts.total
            ignored = _ignored(provider)
            return cache(lambda model, kind: InProcessTarget(f"{name}/{model}", model, ports[kind], total, self._health(), ignored))
        upstream, transport, settings = upstream_of(provider, self._custom), self._transport(provider), self._settings
        endpoints = endpoints_of(provider, upstream, self._custom)
        credentials = self._credentials(name, provider)
        max_bytes = {"chat": settings.max_response_bytes, "embeddings": settings.embeddings.max_response_bytes}
        return cache(
            lambda model, kind: UpstreamTarget(
                f"{name}/{model}",
                model,
                upstream,
                endpoints,
                transport,
                self._health(len(endpoints)),
                max_bytes[kind],
                settings.max_event_bytes,
                credentials,
            )
        )

    def _health(self, keys: int = 1) -> TargetHealth:
        return TargetHealth(self._clock, self._settings.retries, self._settings.breaker, keys)

    def _route(self, targets: Sequence[Target], model: ModelSettings) -> Route:
        """Return the route of a model: neighbours with weights form a group."""
        weights = [name.weight for name in model.targets] or [None]
        groups: list[list[Weighted]] = []
        for target, weight, before in zip(targets, weights, [None, *weights], strict=False):
            if weight is None or before is None:
                groups.append([])
            groups[-1].append(Weighted(target, weight or 1.0))
        settings = self._settings
        return Route(
            tuple(map(tuple, groups)),
            fallback_on=model.fallback_on,
            limit=settings.request_timeout or max(settings.timeouts.total, *(target.total for target in targets)),
            answers=_max_answers(len(targets), model, settings.retries),
            hedges=model.hedge,
            is_exposed=settings.expose_targets,
        )

    def _credentials(self, name: str, provider: UpstreamSettings) -> Credentials | None:
        """Return what proves who sends a provider's requests; None if that is a constant header."""
        if (function := self._tokens.get(name)) is not None:
            return self._backends.token_credentials(name, function, self._settings)
        if (signature := provider.signature) is not None:
            return self._backends.aws_credentials(name, signature, self._settings)
        return None

    def _transport(self, provider: UpstreamSettings) -> Transport:
        """Return the transport of a provider, which it shares with all that are reached in the same way."""
        if self._injected is not None:
            return self._injected
        proxy = None if provider.proxy is None else provider.proxy.get_secret_value()
        if proxy not in self._transports:
            self._transports[proxy] = self._owned(self._backends.transport(self._settings, proxy, self._share))
        return self._transports[proxy]

    def _local_models(self, provider: LlamaCppSettings | EchoSettings) -> Mapping[ModelKind, Model]:
        """Return the model of a provider for each kind of requests."""
        match provider:
            case LlamaCppSettings():
                llama = self._owned(self._backends.llama_cpp(provider, self._settings, self._threads))
                return {"chat": llama, "embeddings": llama}
            case EchoSettings():
                from completions_mw.backends.models.echo import echo
                from completions_mw.backends.models.echo_embeddings import echo_embeddings

                functions: dict[ModelKind, ModelFunction] = {"chat": echo, "embeddings": echo_embeddings}
                make = self._backends.function
                return {kind: self._owned(make(function, self._settings, self._threads)) for kind, function in functions.items()}

    def _owned(self, backend: BackendT) -> BackendT:
        """Return `backend`, which `aclose` will close."""
        self._backends_to_close.append(backend)
        return backend

    @property
    def transport(self) -> str:
        """What calls the upstreams: `httptools`, `httpx2` or both, or the class of the transport that was given."""
        if self._injected is not None:
            return type(self._injected).__name__
        names = {self._settings.transport if proxy is None else "httpx2" for proxy in self._transports}
        return ", ".join(sorted(names)) or self._settings.transport

    async def aclose(self) -> None:
        for backend in self._backends_to_close:
            await backend.aclose()


def _max_answers(targets: int, model: ModelSettings, retries: RetrySettings) -> int:
    """Return how many answers a request may be billed for: where targets are asked while others may be at work, one of each."""
    answers = targets if "timeout" in model.fallback_on else 1
    if retries.maybe_billed:
        answers = targets * retries.attempts
    return answers + model.hedge


def _is_upstream(settings: Settings, target: TargetName) -> bool:
    return not settings.providers[target.provider].is_local


def _ignored(provider: LlamaCppSettings | EchoSettings) -> frozenset[str]:
    if not isinstance(provider, LlamaCppSettings):
        return frozenset()
    from completions_mw.backends.models.llama_cpp.request import IGNORED_PARAMS

    return IGNORED_PARAMS


def _faults(settings: Settings, options: GatewayOptions) -> Iterator[str]:
    functions = functions_of(options)
    yield from kind_faults(settings, options)
    if not (settings.models or functions):
        yield "models: at least one is needed, here or as a Python function"
    for name, model in settings.models.items():
        if model.targets and name in functions:
            yield f"models.{name}: has targets, and is given as a Python function"
        if not model.targets and name not in functions:
            yield f"models.{name}.targets: at least one is needed, or a Python function of this name"
        if model.hedge and not (model.targets and all(_is_upstream(settings, target) for target in model.targets)):
            yield f"models.{name}.hedge: is for models whose targets are all upstreams"
    yield from (f"models.{name}: {fault}" for name, function in functions.items() if (fault := uncallable_reason(function)))
    if options.get("transport") is not None:
        proxied = [name for name, provider in settings.providers.items() if not provider.is_local and provider.proxy is not None]
        yield from (f"providers.{name}.proxy: is not used by the `transport` that the gateway was given" for name in proxied)
    for name, function in (options.get("credentials") or {}).items():
        if name not in settings.providers:
            yield f"credentials: `{name}` is not a provider; {suggestion(name, settings.providers)}"
        elif (provider := settings.providers[name]).is_local or provider.api_key is not None or provider.api_keys:
            yield f"credentials.{name}: the provider {'needs none' if provider.is_local else 'has an `api_key` already'}"
        elif fault := uncallable_reason(function, None):
            yield f"credentials.{name}: {fault}"
    known = settings.models.keys() | functions.keys()
    for id, key in settings.keys.items():
        yield from (f"keys.{id}.models[{at}]: no such model" for at, name in enumerate(key.models or ()) if name not in known)
