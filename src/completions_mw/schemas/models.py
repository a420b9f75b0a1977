"""Answers of `GET {prefix}/models` and `GET {prefix}/models/{id}` (docs/contract.md, Models)."""

from completions_mw.schemas.base import Output


class ModelCard(Output):
    """A model that the caller may use."""

    id: str
    object: str = "model"
    created: int
    owned_by: str
    shutdown_date: str | None = None


class ModelList(Output):
    """All models that the caller may use."""

    object: str = "list"
    data: list[ModelCard]
