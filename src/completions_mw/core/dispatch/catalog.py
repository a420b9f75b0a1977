"""The models that clients can name, and what stands behind each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from completions_mw.core.costs.prices import FREE, Price
from completions_mw.core.dispatch.targets import Target
from completions_mw.core.keys.caller import Caller
from completions_mw.errors import NotFoundError
from completions_mw.schemas import ModelCard, ModelList

MAX_SHOWN = 64


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model under the name that clients send, with its targets in the order in which they are tried."""

    name: str
    targets: tuple[Target, ...]
    created: int
    owned_by: str
    prices: Mapping[str, Price] = field(default_factory=dict)
    """By the target's name; a target without one is unpriced."""
    ceiling: Price = FREE
    """What it costs at most, whichever of the priced targets answers."""
    max_output_tokens: int = 4096
    """Of an answer to a request that sets no maximum."""

    is_priced: bool = field(init=False)
    """Whether the price of every target is known."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_priced", len(self.prices) == len({target.name for target in self.targets}))

    def card(self) -> ModelCard:
        """Return what `GET /models` says of it (docs/contract.md, Models)."""
        return ModelCard(id=self.name, object="model", created=self.created, owned_by=self.owned_by)


class Catalog:
    """All models by name. A caller sees only those of its allow list; the others do not exist for it."""

    def __init__(self, models: Mapping[str, CatalogModel]) -> None:
        self._models = dict(models)

    def resolve(self, name: str, caller: Caller | None) -> CatalogModel:
        """Return the model that `caller` calls `name`; None is the host app itself, which may use all.

        Raises:
            NotFoundError: there is none, or it is not allowed: the answer is the same, so that it tells nothing.
        """
        model = self._models.get(name)
        if model is None or (caller is not None and caller.models is not None and name not in caller.models):
            shown = name if len(name) <= MAX_SHOWN else f"{name[:3]}...{name[-3:]}"
            raise NotFoundError(f"The model `{shown}` does not exist or you do not have access to it.", code="model_not_found")
        return model

    def visible(self, caller: Caller | None) -> ModelList:
        """Return the models that `caller` may use."""
        cards = [model.card() for name, model in self._models.items() if caller is None or caller.may_use(name)]
        return ModelList(object="list", data=cards)
