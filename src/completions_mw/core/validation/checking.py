"""Checks fields against a schema; of the faults that are found, chooses the one that is reported."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from completions_mw.core.validation.error_texts import describe
from completions_mw.core.validation.faults import Fault, FaultOrder
from completions_mw.errors import InvalidRequestError, shown_name
from completions_mw.schemas import ChatRequest, EmbeddingRequest
from completions_mw.schemas.base import ModelRequest

RequestT = TypeVar("RequestT", bound=ModelRequest)
_rank_of: Final = attrgetter("rank")


def prepare() -> None:
    """Build the validators when a gateway is made: building them takes longer than all imports, and must not delay the first request."""
    for schema in (ChatRequest, EmbeddingRequest):
        schema.model_rebuild()


def check(schema: type[RequestT], fields: dict[str, Any], order: FaultOrder) -> tuple[RequestT | None, list[Fault]]:
    """Return the request in `fields`, None if it is invalid, and its faults.

    Args:
        schema: type of the request.
        fields: fields of the request, without nulls.
        order: ranks of the faults.
    """
    try:
        return schema.__pydantic_validator__.validate_python(fields), []
    except ValidationError as invalid:
        return None, [describe(details, order) for details in invalid.errors(include_url=False)]


def first_error(faults: Iterable[Fault], fields: dict[str, Any]) -> InvalidRequestError:
    """Return the error for the fault that OpenAI's API reports first."""
    return of_request(min(faults, key=_rank_of).error, fields)


def of_request(error: InvalidRequestError, fields: dict[str, Any]) -> InvalidRequestError:
    """Return `error` with the model that the refused request names, for the log."""
    model = fields.get("model")
    error.model = shown_name(model) if isinstance(model, str) else None
    return error
