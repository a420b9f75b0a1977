"""What a request must be before anything is done with it: OpenAI's rules, reported as OpenAI's API does (docs/contract.md, Validation)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import NoneType
from typing import Any, Final, Literal, NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from completions_mw.core.validation.error_texts import Fault, describe, rank_of, unknown_parameter
from completions_mw.core.validation.json_body import Bounds, check_values
from completions_mw.core.validation.message_order import sequence_fault
from completions_mw.errors import InvalidRequestError
from completions_mw.schemas import ChatRequest

UnknownParams = Literal["reject", "forward", "ignore"]
"""What happens to top-level fields that OpenAI does not have (docs/contract.md, Requests)."""

MAX_TOP_LOGPROBS: Final = 20
DEFAULT_BOUNDS: Final = Bounds()

_DECLARED: Final = frozenset(ChatRequest.model_fields)
_ATOMS: Final = frozenset({int, float, bool, NoneType})
_rank: Final = attrgetter("rank")


@dataclass(frozen=True, slots=True)
class Chat:
    """A valid request."""

    request: ChatRequest
    fields: dict[str, Any]
    """What to send upstream: as it came, without nulls and without what is to be ignored. Shared; copy before a change."""
    model: str
    """The name that the client asked for."""
    stream: bool
    """Whether the answer is to be streamed."""
    cap: int | None = None
    """The maximum of tokens to ask the upstream for, whatever the request calls it: money is reserved for no more."""

    @property
    def include_usage(self) -> bool:
        """Whether the stream is to end with the usage (docs/contract.md, Streams)."""
        options = self.request.stream_options
        return options is not None and options.include_usage is True

    @property
    def max_tokens(self) -> int | None:
        """How many tokens an answer may have, if the request says so; reasoning among them."""
        newer, older = self.request.max_completion_tokens, self.request.max_tokens
        if newer is None or older is None:
            return older if newer is None else newer
        # Which of two is obeyed depends on who answers.
        return max(newer, older)

    def capped(self, max_tokens: int) -> "Chat":
        """Return the request with this maximum, under one name."""
        update = {"max_completion_tokens": max_tokens, "max_tokens": None}
        fields = {name: value for name, value in self.fields.items() if name not in update}
        return Chat(self.request.model_copy(update=update), fields, self.model, self.stream, max_tokens)

    @property
    def n(self) -> int:
        """How many answers are wanted."""
        return self.request.n or 1


class Rule(NamedTuple):
    """A rule over several fields, for requests that have `field`."""

    field: str
    broken: Callable[[dict[str, Any]], bool]
    message: str
    last: bool = False
    param: str | None = None
    code: str | None = None

    def fault(self) -> Fault:
        """Return what is said of a request that breaks it."""
        error = InvalidRequestError(self.message, param=self.param or self.field, code=self.code)
        return Fault(rank_of(self.field, last=self.last), error)


_RULES: Final = (
    Rule(
        "stream_options",
        lambda fields: fields.get("stream") is not True,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    ),
    Rule(
        "top_logprobs",
        lambda fields: fields.get("logprobs") is not True,
        "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
        last=True,
    ),
    Rule(
        "top_logprobs",
        lambda fields: type(fields["top_logprobs"]) is int and fields["top_logprobs"] > MAX_TOP_LOGPROBS,
        f"Invalid value for 'top_logprobs': must be less than or equal to {MAX_TOP_LOGPROBS}.",
        last=True,
    ),
    Rule(
        "modalities",
        lambda fields: type(fields["modalities"]) is list and "audio" in fields["modalities"] and "audio" not in fields,
        "Missing required parameter: 'audio'.",
        param="audio",
        code="missing_required_parameter",
    ),
)
"""See docs/contract.md, Validation."""


def prepare() -> None:
    """Build the validator, which takes longer than all imports together: once, when a gateway is made, and not at its first request."""
    ChatRequest.model_rebuild()


def validate(fields: dict[str, Any], *, unknown_params: UnknownParams = "reject") -> Chat:
    """Check a request.

    Args:
        fields: parsed JSON, or what `normalise` made of Python objects; not changed.
        unknown_params: what to do with fields that the API does not have.

    Raises:
        InvalidRequestError: the one fault that OpenAI's API would report first.
    """
    # Null is the same as left out, for every field (docs/contract.md, Requests).
    sent = {name: value for name, value in fields.items() if value is not None} if None in fields.values() else fields
    unknown = [] if sent.keys() <= _DECLARED else [name for name in sent if name not in _DECLARED]
    if unknown and unknown_params == "ignore":
        sent = {name: value for name, value in sent.items() if name in _DECLARED}
    request, faults = _parse(sent)
    if unknown and unknown_params == "reject":
        faults.append(unknown_parameter(unknown[0]))
    faults += [rule.fault() for rule in _RULES if rule.field in sent and rule.broken(sent)]
    if faults or request is None:
        raise min(faults, key=_rank).error
    if error := sequence_fault(request.messages):
        raise error
    return Chat(request, sent, request.model, request.stream is True)


def _parse(fields: dict[str, Any]) -> tuple[ChatRequest | None, list[Fault]]:
    try:
        request: ChatRequest = ChatRequest.__pydantic_validator__.validate_python(fields)
    except ValidationError as error:
        return None, [describe(details) for details in error.errors(include_url=False)]
    return request, []


def normalise(fields: Mapping[str, Any], bounds: Bounds = DEFAULT_BOUNDS) -> dict[str, Any]:
    """Turn the arguments of a direct call into plain JSON values: messages may be objects of this package or of an SDK.

    Raises:
        InvalidRequestError: a value has no form in JSON.
    """
    plain: dict[str, Any] = dict(fields)
    check_values(plain, bounds)
    if all(map(_is_plain, plain.values())):
        return plain
    try:
        plain = from_json(to_json(plain, inf_nan_mode="constants", exclude_none=True), allow_inf_nan=False)
    except (PydanticSerializationError, ValueError) as error:
        problem = f"The request has a value that JSON cannot carry ({type(error).__name__})."
    else:
        check_values(plain, bounds)
        return plain
    raise InvalidRequestError(problem)


def _is_plain(value: Any) -> bool:
    """Whether `value` is JSON as it stands; text beyond ASCII is not, because it may hold what UTF-8 cannot carry."""
    kind = type(value)
    if kind is dict:
        return all(type(name) is str and name.isascii() for name in value) and all(map(_is_plain, value.values()))
    if kind is list:
        return all(map(_is_plain, value))
    return kind in _ATOMS or (kind is str and str.isascii(value))
