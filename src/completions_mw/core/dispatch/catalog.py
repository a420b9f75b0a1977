"""The models that clients can name, with their targets and prices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from completions_mw.core.costs.media import MediaRules
from completions_mw.core.costs.prices import FREE, Price
from completions_mw.core.costs.tokens import ANY_MODEL
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import Target
from completions_mw.core.keys.caller import Caller
from completions_mw.errors import NotFoundError, PermissionDeniedError
from completions_mw.schemas import ModelCard, ModelList
from completions_mw.settings.types import ModelKind

MAX_SHOWN_LENGTH: Final = 64
"""Maximum of characters of an unknown model's name in an error."""


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model that clients can name."""

    name: str
    """Name that clients send."""
    route: Route
    """Targets, and the order in which they are asked."""
    created: int
    """Seconds since the epoch, for `GET /models`."""
    owned_by: str
    prices: Mapping[str, Price] = field(default_factory=dict)
    """Price of each target, by the target's name; a target that is missing has no known price."""
    ceiling: Price = FREE
    """Maximum of the targets' prices, for reservations."""
    max_output_tokens: int = 4096
    """Maximum of completion tokens of one choice, for a request that sets none."""
    media: tuple[MediaRules, ...] = ANY_MODEL
    """Rules for the tokens of images, audio and files, of all targets."""

    kind: ModelKind = "chat"
    """What the model is asked for."""
    is_priced: bool = field(init=False)
    """Whether the price of every target is known."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_priced", len(self.prices) == len({target.name for target in self.targets}))

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets, in the order of the settings."""
        return self.route.targets

    def check_kind(self, kind: ModelKind) -> None:
        """Check that the model is asked for what it gives.

        Raises:
            NotFoundError: it is an embeddings model, and is asked for a chat completion.
            PermissionDeniedError: it is a chat model, and is asked for embeddings.
        """
        if self.kind == kind:
            return
        # The statuses and texts of OpenAI's API (docs/contract.md, Embeddings).
        if kind == "embeddings":
            raise PermissionDeniedError("You are not allowed to generate embeddings from this model")
        text = "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/embeddings?"
        raise NotFoundError(text, param="model")

    def card(self) -> ModelCard:
        """Return the model's object in `GET /models` (docs/contract.md, Models)."""
        return ModelCard(id=self.name, object="model", created=self.created, owned_by=self.owned_by)


class Catalog:
    """All models by name. For a caller, only the models that it may use exist."""

    def __init__(self, models: Mapping[str, CatalogModel]) -> None:
        self._models = dict(models)

    def resolve(self, name: str, caller: Caller | None) -> CatalogModel:
        """Return a model by the name that a client sent; a caller of None is the host app itself, which may use all models.

        Raises:
            NotFoundError: the model does not exist, or the caller may not use it: the error is the same for both.
        """
        model = self._models.get(name)
        if model is None or (caller is not None and caller.models is not None and name not in caller.models):
            shown = name if len(name) <= MAX_SHOWN_LENGTH else f"{name[:3]}...{name[-3:]}"
            raise NotFoundError(f"The model `{shown}` does not exist or you do not have access to it.", code="model_not_found")
        return model

    def visible(self, caller: Caller | None) -> ModelList:
        """Return the models that a caller may use; all for None, the host app itself."""
        cards = [model.card() for name, model in self._models.items() if caller is None or caller.may_use(name)]
        return ModelList(object="list", data=cards)
