"""What direct calls from Python get: typed answers, and no other exceptions than HTTP would answer with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from completions_mw.errors import GatewayError, InternalError, UpstreamError

AnswerT = TypeVar("AnswerT", bound=BaseModel)


def typed(answer: type[AnswerT], data: Mapping[str, Any]) -> AnswerT:
    """Return an answer, or a chunk of one, as the object that its reader gets.

    Raises:
        UpstreamError: it is not one. What functions of the host app give back was checked before.
    """
    try:
        return answer.model_validate(data)
    except ValidationError:
        problem = "The upstream provider sent an answer that is not a chat completion."
    # Not within the handler: pydantic's error carries the answer.
    raise UpstreamError(problem, code="upstream_protocol_error")


@contextmanager
def as_gateway_errors() -> Iterator[None]:
    """Make every fault of the `with` block the one that HTTP would answer with; what caused it is chained to it.

    Raises:
        InternalError: a fault of ours, or of a function of the host app.
    """
    try:
        yield
    except (GatewayError, StopAsyncIteration):
        raise
    except Exception as error:
        raise InternalError from error
