"""What the pipeline knows of every valid request, of whatever kind."""

from typing import Any, Protocol, Self

from completions_mw.schemas.base import ModelRequest
from completions_mw.settings.types import ModelKind


class ValidRequest(Protocol):
    """A valid request of any kind: a `Chat`, or an `Embed`. Steps that serve one kind only take its own class."""

    @property
    def kind(self) -> ModelKind:
        """Kind of the models that can answer the request."""
        ...

    @property
    def request(self) -> ModelRequest:
        """The request, as models in this process get it."""
        ...

    @property
    def fields(self) -> dict[str, Any]:
        """Fields for the upstream: as they came, without nulls and ignored fields. Shared between targets; copy before a change."""
        ...

    @property
    def model(self) -> str:
        """The model name that the client asked for."""
        ...

    @property
    def stream(self) -> bool:
        """Whether the client asked for a stream."""
        ...

    @property
    def n(self) -> int:
        """Number of choices that the client asked for; 0 where an answer has none."""
        ...

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of the client's fields that no target gets, because the API does not have them."""
        ...

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the client's fields that the target does not get, or gets with another value, because it does not take them."""
        ...

    @property
    def max_tokens(self) -> int | None:
        """Maximum of completion tokens that the client set; None if it set none, and 0 where there are no completion tokens."""
        ...

    @property
    def is_deterministic(self) -> bool:
        """Whether the answer is the same each time, as far as the client can ask for that."""
        ...

    @property
    def include_usage(self) -> bool:
        """Whether the client asked for usage at the end of the stream."""
        ...

    def capped(self, max_tokens: int) -> Self:
        """Return the request with `max_tokens` as its maximum of completion tokens."""
        ...

    def fitted(self, fields: dict[str, Any], dropped: tuple[str, ...]) -> Self:
        """Return the request as one target takes it.

        Args:
            fields: fields for the target.
            dropped: names of the client's fields that are not among them, or have another value.
        """
        ...

    def without_usage(self) -> Self:
        """Return the request without the wish for usage at the end of the stream."""
        ...
