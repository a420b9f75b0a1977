"""Models that clients may ask for, from the settings and from Python functions."""

from collections.abc import Sequence

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.costs.media import rules_of
from completions_mw.core.costs.prices import FREE
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.dispatch.route import Route, Weighted
from completions_mw.core.dispatch.targets import Target
from completions_mw.core.ports import Clock, ModelFunction
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.backends import Backends
from completions_mw.gateway.kinds import embedding_faults, functions_of, kind_of
from completions_mw.gateway.options import GatewayOptions
from completions_mw.gateway.prices import highest_price, price_source
from completions_mw.gateway.setup_faults import setup_faults
from completions_mw.gateway.targets import Targets
from completions_mw.settings import ModelSettings, RetrySettings, Settings

FUNCTION_SETTINGS = ModelSettings(owned_by="python")
"""Settings of a model that is a Python function and has no table in the settings."""


class ModelRegistry:
    """All models of a gateway by name, `models`.

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
        faults = list(setup_faults(settings, options))
        if faults:
            raise ConfigurationError("\n".join(faults))
        self._settings = settings
        self._options = options
        self._targets = Targets(settings, options, backends, share, clock)
        self._price = price_source(settings)
        functions = functions_of(options)
        tables = {**settings.models, **{name: FUNCTION_SETTINGS for name in functions if name not in settings.models}}
        self.models = {name: self._model(name, model, functions.get(name)) for name, model in tables.items()}

    def _model(self, name: str, model: ModelSettings, function: ModelFunction | None) -> CatalogModel:
        kind = kind_of(name, model, self._options)
        targets: tuple[Target, ...] = tuple(self._targets.of_provider(target, model, kind) for target in model.targets)
        if kind == "embeddings" and (lacking := list(embedding_faults(targets))):
            raise ConfigurationError("\n".join(f"models.{name}.targets[{index}]: {fault}" for index, fault in lacking))
        if function is not None:
            targets = (self._targets.of_function(name, function),)
        prices = {target.name: price for target in targets if (price := self._price(target.name, model, kind)) is not None}
        ceiling = highest_price([FREE, *prices.values()])
        paid = [target for target in targets if prices.get(target.name, FREE) != FREE] or targets
        media = tuple(rules_of(target.model, model.image_tokens, model.audio_tokens, model.file_tokens) for target in paid)
        route = self._route(targets, model)
        return CatalogModel(name, route, model.created, model.owned_by, prices, ceiling, model.max_output_tokens, media, kind)

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

    @property
    def transport(self) -> str:
        """What calls the upstreams: `httptools`, `httpx2` or both, or the class of the transport that was given."""
        return self._targets.transport

    async def aclose(self) -> None:
        await self._targets.aclose()


def _max_answers(targets: int, model: ModelSettings, retries: RetrySettings) -> int:
    """Return how many answers a request may be billed for: where targets are asked while others may be at work, one of each."""
    answers = targets if "timeout" in model.fallback_on else 1
    if retries.maybe_billed:
        answers = targets * retries.attempts
    return answers + model.hedge
