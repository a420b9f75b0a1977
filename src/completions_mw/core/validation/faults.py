"""The faults of a request, and the order in which OpenAI's API reports them (docs/contract.md, Validation)."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from pydantic_core import ErrorDetails

from completions_mw.errors import InvalidRequestError
from completions_mw.schemas import ChatRequest, EmbeddingRequest

MODEL_RANK: Final = -3
UNKNOWN_RANK: Final = -1
_CONTENT_RANK: Final = -2


class Fault(NamedTuple):
    """A fault of a request, with its rank: of several faults, the one with the lowest rank is reported."""

    rank: int
    error: InvalidRequestError


class FaultOrder:
    """The order in which the faults of one kind of requests are reported: the model, whether there is content, unknown fields, all others.

    Args:
        fields: names of the fields, in the order in which their faults are reported.
        content: field that holds what the request is about, whose absence is reported before unknown fields.
        range_checked_last: fields whose values are checked against their bounds after all other fields.
    """

    def __init__(self, fields: Iterable[str], content: str, range_checked_last: frozenset[str] = frozenset()) -> None:
        self._ranks = {name: rank for rank, name in enumerate(fields)}
        self._content = content
        self._range_checked_last = range_checked_last

    def rank_of(self, field: str, *, last: bool = False) -> int:
        """Return the rank of a fault in `field`; `last` is for values that OpenAI's API checks after all other fields."""
        return self._ranks[field] + len(self._ranks) * last

    def rank(self, details: ErrorDetails) -> int:
        """Return the rank of one of pydantic's errors."""
        field, kind = str(details["loc"][0]), details["type"]
        if field == "model":
            return MODEL_RANK
        if details["loc"] == (self._content,) and kind == "missing":
            return _CONTENT_RANK
        return self.rank_of(field, last=field in self._range_checked_last and kind in {"greater_than_equal", "less_than_equal"})


CHAT_ORDER: Final = FaultOrder(ChatRequest.model_fields, "messages", frozenset({"temperature", "top_p"}))
EMBEDDING_ORDER: Final = FaultOrder(EmbeddingRequest.model_fields, "input")
