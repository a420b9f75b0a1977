"""Targets of models, from the settings of their providers, and the backends that they need."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Final, TypeVar

from completions_mw.core.dispatch.parameters import TargetParams, limited_params
from completions_mw.core.dispatch.targets import InProcessTarget, Target
from completions_mw.core.dispatch.upstream_target import UpstreamTarget
from completions_mw.core.ports import Clock, Credentials, Model, ModelFunction, Transport
from completions_mw.core.resilience import TargetHealth
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.backends import Backends
from completions_mw.gateway.custom_formats import custom_formats
from completions_mw.gateway.options import GatewayOptions
from completions_mw.providers.registry import endpoints_of, upstream_of
from completions_mw.settings import EchoSettings, LlamaCppSettings, ModelSettings, ProviderSettings, Settings, TargetName, UpstreamSettings
from completions_mw.settings.types import ModelKind, UnsupportedParams

BackendT = TypeVar("BackendT", bound="Transport | Model")
_NOT_IN_ANSWERS: Final = {"api_key", "api_keys", "forward_params", "headers", "proxy", "timeouts", "unknown_params", "unsupported_params"}
"""Settings of providers that say who asks, in which way and how long, or which parameters a request keeps."""


class Targets:
    """The targets of a gateway, each made once, and the backends that they share.

    Args:
        settings: all settings.
        options: keyword arguments of the gateway.
        backends: makes the backends.
        share: part of the connections to an upstream, and of the threads of models, that one caller may have.
        clock: time, for what is known of the targets' health.

    Raises:
        ConfigurationError: a provider in the settings cannot work.
    """

    def __init__(self, settings: Settings, options: GatewayOptions, backends: Backends, share: float, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._backends = backends
        self._injected = options.get("transport")
        self._tokens = options.get("credentials") or {}
        self._share = share
        self._transports: dict[str | None, Transport] = {}
        self._threads = backends.model_threads(settings, share)
        self._backends_to_close: list[Transport | Model] = []
        self._limited: dict[tuple[TargetName, ModelKind, UnsupportedParams, int | None], Target] = {}
        self._custom = custom_formats(settings, options.get("providers") or {})
        self._makers = {name: self._target_maker(name, provider) for name, provider in settings.providers.items()}

    def of_provider(self, name: TargetName, model: ModelSettings, kind: ModelKind) -> Target:
        """Return a target of a model, which all models share whose settings for it are the same."""
        target, provider = self._makers[name.provider](name.model, kind), self._settings.providers[name.provider]
        if provider.is_local or not isinstance(target, UpstreamTarget):
            return target
        capabilities = target.upstream.capabilities
        maximum = model.max_output_tokens if capabilities.needs_maximum else None
        if maximum is None and not limited_params(capabilities):
            return target
        policy = model.unsupported_params or provider.unsupported_params or self._settings.unsupported_params
        if (name, kind, policy, maximum) not in self._limited:
            params = TargetParams(target.name, capabilities, policy)
            self._limited[name, kind, policy, maximum] = replace(target, params=params, maximum=maximum)
        return self._limited[name, kind, policy, maximum]

    def of_function(self, name: str, function: ModelFunction) -> Target:
        """Return the target that is a Python function."""
        port = self._owned(self._backends.function(function, self._settings, self._threads))
        return InProcessTarget(f"python/{name}", name, port, self._settings.timeouts.total, self._health())

    def _target_maker(self, name: str, provider: ProviderSettings) -> Callable[[str, ModelKind], Target]:
        """Return a function from the name and kind of a provider's model to its target, which all models that name it share."""
        if provider.is_local:
            ports, total = self._local_models(name, provider), self._settings.timeouts.total
            ignored, variant = _ignored(provider), _digest(provider)
            return cache(
                lambda model, kind: InProcessTarget(f"{name}/{model}", model, ports[kind], total, self._health(), ignored, variant)
            )
        upstream, transport, settings = upstream_of(provider, self._custom), self._transport(provider), self._settings
        endpoints = endpoints_of(provider, upstream, self._custom)
        credentials, digest = self._credentials(name, provider), _digest(provider)
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
                provider=digest,
            )
        )

    def _health(self, keys: int = 1) -> TargetHealth:
        return TargetHealth(self._clock, self._settings.retries, self._settings.breaker, keys)

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

    def _local_models(self, name: str, provider: LlamaCppSettings | EchoSettings) -> Mapping[ModelKind, Model]:
        """Return the model of a provider for each kind of requests."""
        match provider:
            case LlamaCppSettings():
                try:
                    llama = self._owned(self._backends.llama_cpp(provider, self._settings, self._threads))
                except ConfigurationError as error:
                    raise ConfigurationError(f"providers.{name}.{error}") from None
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


def _digest(provider: ProviderSettings) -> str:
    """Return a digest of the settings of a provider, without those that its answers do not depend on, or that each target has by itself."""
    return sha256(provider.model_dump_json(exclude=_NOT_IN_ANSWERS, fallback=repr).encode()).hexdigest()[:16]


def _ignored(provider: LlamaCppSettings | EchoSettings) -> frozenset[str]:
    if not isinstance(provider, LlamaCppSettings):
        return frozenset()
    from completions_mw.backends.models.llama_cpp.request import IGNORED_PARAMS

    return IGNORED_PARAMS
