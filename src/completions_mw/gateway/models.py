"""From settings to models: each provider gets its backend, each model its targets."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TypeVar

from completions_mw.core.costs.prices import FREE
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.dispatch.targets import InProcessTarget, Target, UpstreamTarget
from completions_mw.core.hooks import uncallable_reason
from completions_mw.core.ports import Model, ModelFunction, Transport
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.backends import Backends
from completions_mw.gateway.prices import dearest, price_source
from completions_mw.providers.registry import upstream_of
from completions_mw.settings import EchoSettings, LlamaCppSettings, ModelSettings, ProviderSettings, Settings

OWN_MODEL = ModelSettings(owned_by="python")
"""What a Python function is as a model, where the settings say nothing of it."""
BackendT = TypeVar("BackendT", bound="Transport | Model")


class ModelRegistry:
    """The backends that some settings need, and the models that they make.

    Args:
        settings: the whole tree.
        functions: Python functions as models, by name.
        kit: makes the backends.
        transport: instead of the kit's; its owner closes it.

    Raises:
        ConfigurationError: the settings ask for something that cannot work.
    """

    def __init__(self, settings: Settings, functions: Mapping[str, ModelFunction], kit: Backends, transport: Transport | None) -> None:
        self._settings = settings
        self._kit = kit
        self._transport = transport
        self.backends: list[Transport | Model] = []
        self._makers = {name: self._target_maker(name, provider) for name, provider in settings.providers.items()}
        self._price = price_source(settings)
        faults = list(_faults(settings, functions))
        if faults:
            raise ConfigurationError("\n".join(faults))
        self.models = {name: self._model(name, model, functions) for name, model in settings.models.items()}
        self.models |= {name: self._model(name, OWN_MODEL, functions) for name in functions if name not in settings.models}

    def _model(self, name: str, model: ModelSettings, functions: Mapping[str, ModelFunction]) -> CatalogModel:
        targets = tuple(self._makers[target.provider](target.model) for target in model.targets)
        targets = targets or (self._function_target(name, functions[name]),)
        prices = {target.name: price for target in targets if (price := self._price(target.name, model)) is not None}
        ceiling = dearest([FREE, *prices.values()])
        return CatalogModel(name, targets, model.created, model.owned_by, prices, ceiling, model.max_output_tokens)

    def _target_maker(self, name: str, provider: ProviderSettings) -> Callable[[str], Target]:
        """Return what makes the targets of a provider, one for each model: every model of ours that names it shares it."""
        if provider.is_local:
            port = self._opened(self._local_model(provider))
            return cache(lambda model: InProcessTarget(f"{name}/{model}", model, port))
        if self._transport is None:
            self._transport = self._opened(self._kit.transport(self._settings))
        upstream, transport, settings = upstream_of(provider), self._transport, self._settings
        return cache(
            lambda model: UpstreamTarget(
                f"{name}/{model}", model, upstream, transport, settings.max_response_bytes, settings.max_event_bytes
            )
        )

    def _local_model(self, provider: LlamaCppSettings | EchoSettings) -> Model:
        match provider:
            case LlamaCppSettings():
                return self._kit.llama_cpp(provider, self._settings)
            case EchoSettings():
                from completions_mw.backends.models.echo import echo

                return self._kit.function(echo, self._settings)

    def _function_target(self, name: str, function: ModelFunction) -> Target:
        return InProcessTarget(f"python/{name}", name, self._opened(self._kit.function(function, self._settings)))

    def _opened(self, backend: BackendT) -> BackendT:
        self.backends.append(backend)
        return backend

    async def aclose(self) -> None:
        for backend in self.backends:
            await backend.aclose()


def _faults(settings: Settings, functions: Mapping[str, ModelFunction]) -> Iterator[str]:
    if not (settings.models or functions):
        yield "models: at least one is needed, here or as a Python function"
    for name, model in settings.models.items():
        if model.targets and name in functions:
            yield f"models.{name}: has targets, and is given as a Python function"
        if not model.targets and name not in functions:
            yield f"models.{name}.targets: at least one is needed, or a Python function of this name"
    yield from (f"models.{name}: {fault}" for name, function in functions.items() if (fault := uncallable_reason(function)))
    known = settings.models.keys() | functions.keys()
    for id, key in settings.keys.items():
        yield from (f"keys.{id}.models[{at}]: no such model" for at, name in enumerate(key.models or ()) if name not in known)
