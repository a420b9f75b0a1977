"""From settings to models: each provider gets its backend, each model its targets."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from completions_mw.backends.kits import Kit
from completions_mw.core.catalog import CatalogModel
from completions_mw.core.functions import misfit
from completions_mw.core.ports import Model, ModelFunction, Transport
from completions_mw.core.targets import InProcessTarget, Target, UpstreamTarget
from completions_mw.errors import ConfigurationError
from completions_mw.providers import openai
from completions_mw.settings import LlamaCppSettings, OpenAISettings, ProviderSettings, Settings

BackendT = TypeVar("BackendT", bound="Transport | Model")


class Assembly:
    """The backends that some settings need, and the models that they make.

    Args:
        settings: the whole tree.
        functions: Python functions as models, by name.
        kit: makes the backends.
        transport: instead of the kit's; its owner closes it.

    Raises:
        ConfigurationError: the settings ask for something that cannot work.
    """

    def __init__(self, settings: Settings, functions: Mapping[str, ModelFunction], kit: Kit, transport: Transport | None) -> None:
        self._settings = settings
        self._kit = kit
        self._transport = transport
        self.backends: list[Transport | Model] = []
        makers = {name: self._target_maker(name, provider) for name, provider in settings.providers.items()}
        self.models: dict[str, CatalogModel] = {}
        for name, model in settings.models.items():
            targets = tuple(makers[target.provider](target.model) for target in model.targets)
            self.models[name] = CatalogModel(name, targets, model.created, model.owned_by)
        for name, function in functions.items():
            self.models[name] = CatalogModel(name, (self._function_target(name, function),), 0, "python")
        _check(settings, self.models, functions)

    def _target_maker(self, name: str, provider: ProviderSettings) -> Callable[[str], Target]:
        if isinstance(provider, OpenAISettings):
            return self._upstream_maker(name, provider)
        if isinstance(provider, LlamaCppSettings):
            port = self._opened(self._kit.llama_cpp(provider, self._settings))
        else:
            from completions_mw.backends.models.echo import echo

            port = self._opened(self._kit.function(echo, self._settings))
        return lambda model: InProcessTarget(f"{name}/{model}", model, port)

    def _upstream_maker(self, name: str, provider: OpenAISettings) -> Callable[[str], Target]:
        if self._transport is None:
            self._transport = self._opened(self._kit.transport(self._settings))
        endpoint, transport, settings = openai.build_endpoint(provider), self._transport, self._settings
        return lambda model: UpstreamTarget(
            f"{name}/{model}", model, openai, endpoint, transport, settings.max_response_bytes, settings.max_event_bytes
        )

    def _function_target(self, name: str, function: ModelFunction) -> Target:
        return InProcessTarget(f"python/{name}", name, self._opened(self._kit.function(function, self._settings)))

    def _opened(self, backend: BackendT) -> BackendT:
        self.backends.append(backend)
        return backend

    async def aclose(self) -> None:
        for backend in self.backends:
            await backend.aclose()


def _check(settings: Settings, models: Mapping[str, CatalogModel], functions: Mapping[str, ModelFunction]) -> None:
    faults = [] if models else ["models: at least one is needed, here or as a Python function"]
    faults += [f"models.{name}: given in the settings and as a Python function" for name in settings.models.keys() & functions.keys()]
    faults += [f"models.{name}: {fault}" for name, function in functions.items() if (fault := misfit(function))]
    for id, key in settings.keys.items():
        faults += [f"keys.{id}.models[{at}]: no such model" for at, name in enumerate(key.models or ()) if name not in models]
    if faults:
        raise ConfigurationError("\n".join(faults))
