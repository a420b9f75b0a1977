"""What each model is asked for, chat completions or embeddings, and the Python functions of both kinds."""

from collections.abc import Iterator, Mapping, Sequence

from completions_mw.core.dispatch.targets import Target
from completions_mw.core.dispatch.upstream_target import UpstreamTarget
from completions_mw.core.ports import ModelFunction
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.options import GatewayOptions
from completions_mw.settings import ModelSettings, Settings
from completions_mw.settings.types import ModelKind


def functions_of(options: GatewayOptions) -> Mapping[str, ModelFunction]:
    """Return the Python functions that are models of either kind, by the name that clients send."""
    return {**(options.get("models") or {}), **(options.get("embeddings") or {})}


def kind_of(name: str, model: ModelSettings, options: GatewayOptions) -> ModelKind:
    """Return what a model is asked for (docs/embeddings.md).

    Args:
        name: name that clients send.
        model: settings of the model.
        options: keyword arguments of the gateway.
    """
    is_embedder = name in (options.get("embeddings") or {})
    return "embeddings" if is_embedder else model.kind_of_targets or "chat"


def embedding_faults(targets: Sequence[Target]) -> Iterator[tuple[int, str]]:
    """Yield the index and the fault of each target of an embeddings model that cannot make embeddings."""
    for index, target in enumerate(targets):
        if not isinstance(target, UpstreamTarget):
            continue
        api = target.upstream.embeddings
        if api is None:
            yield index, "the API of the provider has no embeddings"
            continue
        try:
            api.max_inputs(target.model)
        except ConfigurationError as error:
            yield index, str(error)


def kind_faults(settings: Settings, options: GatewayOptions) -> Iterator[str]:
    """Yield a line for each model whose kind is said twice, and not the same."""
    embedders = options.get("embeddings") or {}
    for name in embedders:
        if name in (options.get("models") or {}):
            yield f"embeddings.{name}: is given in `models` too"
        elif name in settings.models and settings.models[name].kind == "chat":
            yield f'models.{name}.kind: is "chat", and the function is given in `embeddings`'
