"""Validation of an embeddings request by OpenAI's rules, with the errors of OpenAI's API (docs/contract.md, Embeddings)."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Self

from completions_mw.core.validation.checking import check, first_error, of_request
from completions_mw.core.validation.error_texts import unknown_parameter
from completions_mw.core.validation.faults import EMBEDDING_ORDER, Fault
from completions_mw.core.validation.vendor_params import REJECT, ParamPolicy
from completions_mw.errors import InvalidRequestError
from completions_mw.schemas import EmbeddingRequest
from completions_mw.schemas.embeddings import inputs_of
from completions_mw.settings.types import ModelKind

_DECLARED_FIELDS: Final = frozenset(EmbeddingRequest.model_fields)


@dataclass(frozen=True, slots=True)
class Embed:
    """A valid embeddings request."""

    kind: ClassVar[ModelKind] = "embeddings"
    stream: ClassVar = False
    include_usage: ClassVar = False
    is_deterministic: ClassVar = True
    max_tokens: ClassVar = 0
    n: ClassVar = 0

    request: EmbeddingRequest = field(repr=False)
    fields: dict[str, Any] = field(repr=False)
    """Fields for the upstream: as they came, without nulls and ignored fields. Shared between targets; copy before a change."""
    model: str
    """The model name that the client asked for."""
    ignored: tuple[str, ...] = ()
    """Names of the client's fields that no target gets, because the API does not have them."""
    dropped: tuple[str, ...] = ()
    """Names of the client's fields that the target does not get, because it does not take them."""

    @property
    def inputs(self) -> list[str] | list[list[int]]:
        """The inputs, of each of which the answer has a vector."""
        return inputs_of(self.fields["input"])

    @property
    def is_base64(self) -> bool:
        """Whether the client asked for vectors in base64 instead of arrays of numbers."""
        return self.request.encoding_format == "base64"

    def capped(self, max_tokens: int) -> Self:
        return self

    def fitted(self, fields: dict[str, Any], dropped: tuple[str, ...]) -> Self:
        return replace(self, fields=fields, dropped=dropped)

    def without_usage(self) -> Self:
        return self


def validate_embeddings(fields: dict[str, Any], *, max_inputs: int, policy: ParamPolicy = REJECT) -> Embed:
    """Return a request whose fields are valid.

    Args:
        fields: fields as `parse_json_body` or `normalise` returns them; not changed.
        max_inputs: maximum of inputs.
        policy: what happens to fields that the API does not have.

    Raises:
        InvalidRequestError: the fields are invalid; of several faults, the error is for the one that OpenAI's API reports first.
    """
    # Null is the same as left out, for every field (docs/contract.md, Requests).
    sent = {name: value for name, value in fields.items() if value is not None}
    unknown = [name for name in sent if name not in _DECLARED_FIELDS and not policy.forwards(name)]
    ignored: tuple[str, ...] = ()
    faults: list[Fault] = []
    if policy.unknown == "ignore":
        ignored = tuple(unknown)
        sent = {name: value for name, value in sent.items() if name not in unknown}
    else:
        faults = [unknown_parameter(name) for name in unknown[:1]]
    if error := _too_many_inputs(sent.get("input"), max_inputs):
        request, faults = None, [*faults, Fault(EMBEDDING_ORDER.rank_of("input"), error)]
        faults += check(EmbeddingRequest, {**sent, "input": "one"}, EMBEDDING_ORDER)[1]
    else:
        request, found = check(EmbeddingRequest, sent, EMBEDDING_ORDER)
        faults += found
    if faults or request is None:
        try:
            raise first_error(faults, sent)
        finally:
            # The exception holds this frame by its traceback: were it held by the frame, both would wait for the garbage collector.
            del faults, error
    return Embed(request, sent, request.model, ignored)


def check_batch(request: Embed, tokens: int, max_tokens: int) -> None:
    """Refuse a request whose inputs have more tokens than one request may have.

    Args:
        request: the request.
        tokens: number of its tokens.
        max_tokens: maximum of tokens.

    Raises:
        InvalidRequestError: the inputs have too many tokens together.
    """
    if tokens > max_tokens:
        text, code = f"Requested {tokens} tokens, max {max_tokens} tokens per request", "max_tokens_per_request"
        raise of_request(InvalidRequestError(text, type=code, code=code), request.fields)


def _too_many_inputs(value: object, limit: int) -> InvalidRequestError | None:
    """Return the error for more inputs than `limit`; the tokens of one text are one input."""
    if not isinstance(value, list) or len(value) <= limit or isinstance(value[0], int):
        return None
    text = f"Expected an array with maximum length {limit}, but got an array with length {len(value)} instead."
    return InvalidRequestError(f"Invalid 'input': array too long. {text}", param="input", code="array_above_max_length")
