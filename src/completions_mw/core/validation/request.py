"""Validation of a chat request by OpenAI's rules, with the errors of OpenAI's API (docs/contract.md, Validation)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from completions_mw.core.validation.checking import check, first_error, of_request
from completions_mw.core.validation.error_texts import unknown_parameter
from completions_mw.core.validation.faults import CHAT_ORDER
from completions_mw.core.validation.rules import RULED_FIELDS, RULES
from completions_mw.core.validation.vendor_params import REJECT, ParamPolicy, for_validation, hint, without_ignored
from completions_mw.errors import InvalidRequestError
from completions_mw.schemas import ChatRequest, Message
from completions_mw.settings.types import ModelKind

_DECLARED_FIELDS: Final = frozenset(ChatRequest.model_fields)
_MAXIMUMS: Final = frozenset({"max_tokens", "max_completion_tokens"})
_NO_CALL_TEXT: Final = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
_UNKNOWN_CALL_TEXT: Final = "Invalid parameter: 'tool_call_id' was not found in 'tool_calls' of the previous message."
_UNANSWERED_TEXT: Final = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."


@dataclass(slots=True)
class Chat:
    """A valid chat request."""

    kind: ClassVar[ModelKind] = "chat"

    fields: dict[str, Any] = field(repr=False)
    """Fields for the upstream: as they came, without nulls and ignored fields. Shared between targets; copy before a change."""
    model: str
    """The model name that the client asked for."""
    stream: bool
    """Whether the client asked for a stream."""
    n: int
    """Number of choices that the client asked for."""
    ignored: tuple[str, ...] = ()
    """Names of the client's fields that no target gets, because the API does not have them."""
    dropped: tuple[str, ...] = ()
    """Names of the client's fields that the target does not get, or gets with another value, because it does not take them."""
    cap: int | None = None
    """Maximum of completion tokens for the upstream, for which money is reserved; None for the client's own maximum."""
    vendors: ParamPolicy | None = None
    """Policy by which the fields hold vendors' own values of OpenAI's parameters; None if they hold none."""
    _request: ChatRequest | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def request(self) -> ChatRequest:
        """The request as an object, without vendors' values; made when a model in this process or a hook first asks for it."""
        if self._request is None:
            known = self.fields if self.vendors is None else for_validation(self.fields, self.vendors)
            if self.cap is not None:
                known = {**known, "max_completion_tokens": self.cap}
            self._request = ChatRequest.__pydantic_validator__.validate_python(known)
        return self._request

    @property
    def is_deterministic(self) -> bool:
        """Whether the client asked for an answer that is the same each time."""
        return "seed" in self.fields or self.fields.get("temperature") == 0

    @property
    def include_usage(self) -> bool:
        """Whether the client asked for usage at the end of the stream (docs/contract.md, Streams)."""
        options = self.fields.get("stream_options")
        return options is not None and options.get("include_usage") is True

    @property
    def forwarded(self) -> dict[str, Any]:
        """The fields that OpenAI's API does not have."""
        if self.fields.keys() <= _DECLARED_FIELDS:
            return {}
        return {name: value for name, value in self.fields.items() if name not in _DECLARED_FIELDS}

    @property
    def asked(self) -> frozenset[str]:
        """Names of the fields that the client has set."""
        return frozenset(self.fields)

    @property
    def forces_call(self) -> bool:
        """Whether the client forces the call of one function by its name."""
        choice = self.fields.get("tool_choice")
        return type(choice) is dict and choice["type"] == "function"

    @property
    def max_tokens(self) -> int | None:
        """Maximum of completion tokens that the client set, with reasoning; None if it set none."""
        newer: int | None = self.fields.get("max_completion_tokens")
        older: int | None = self.fields.get("max_tokens")
        if newer is None or older is None:
            return older if newer is None else newer
        # Upstreams differ in which of the two they obey.
        return max(newer, older)

    def capped(self, max_tokens: int) -> "Chat":
        """Return the request with `max_tokens` as its only maximum of completion tokens."""
        fields = {name: value for name, value in self.fields.items() if name not in _MAXIMUMS}
        return replace(self, fields=fields, cap=max_tokens)

    def fitted(self, fields: dict[str, Any], dropped: tuple[str, ...]) -> "Chat":
        return replace(self, fields=fields, n=fields.get("n", 1), dropped=dropped)

    def without_usage(self) -> "Chat":
        """Return the request without the wish for usage at the end of the stream."""
        if not self.include_usage:
            return self
        fields = {name: value for name, value in self.fields.items() if name != "stream_options"}
        return replace(self, fields=fields)


def validate(fields: dict[str, Any], *, policy: ParamPolicy = REJECT) -> Chat:
    """Return a request whose fields are valid.

    Args:
        fields: fields as `parse_json_body` or `normalise` returns them; not changed.
        policy: what happens to fields that the API does not have.

    Raises:
        InvalidRequestError: the fields are invalid; of several faults, the error is for the one that OpenAI's API reports first.
    """
    # Null is the same as left out, for every field (docs/contract.md, Requests).
    sent = {name: value for name, value in fields.items() if value is not None} if None in fields.values() else fields
    # No stop sequences are none; OpenAI's API takes the empty list too.
    if sent.get("stop") == []:
        sent = {name: value for name, value in sent.items() if name != "stop"}
    ignored: tuple[str, ...] = ()
    if policy.unknown == "ignore":
        sent, ignored = without_ignored(sent, policy)
    vendors: ParamPolicy | None = None
    request, faults = check(ChatRequest, sent, CHAT_ORDER)
    if faults and (policy.unknown == "forward" or policy.forwarded):
        vendors = policy
        request, faults = check(ChatRequest, for_validation(sent, policy), CHAT_ORDER)
    if not sent.keys() <= _DECLARED_FIELDS:
        unknown = [name for name in sent if name not in _DECLARED_FIELDS and not policy.forwards(name)]
        faults += [unknown_parameter(name, hint(name)) for name in unknown[:1]]
    if not RULED_FIELDS.isdisjoint(sent):
        faults += [rule.fault() for rule in RULES if rule.field in sent and rule.is_broken(sent)]
    if faults or request is None:
        try:
            raise first_error(faults, sent)
        finally:
            # The exception holds this frame by its traceback: were it held by the frame, both would wait for the garbage collector.
            del faults
    if error := _sequence_error(request.messages):
        try:
            raise of_request(error, sent)
        finally:
            del error
    # Without the object, which most requests do not need: it would wait for the upstream's answer with them.
    return Chat(sent, sent["model"], sent.get("stream") is True, sent.get("n", 1), ignored, vendors=vendors)


def _sequence_error(messages: Sequence[Message]) -> InvalidRequestError | None:
    """Return the error for tool results that do not follow their calls, None if the messages are in order."""
    caller = 0
    calls: frozenset[str] = frozenset()
    unanswered: set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in calls:
                return _order_error(_UNKNOWN_CALL_TEXT, index, "tool_call_id") if calls else _order_error(_NO_CALL_TEXT, index, "role")
            unanswered.discard(message.tool_call_id)
        elif unanswered:
            break
        elif message.role == "assistant" and message.tool_calls:
            caller, calls = index, frozenset(call.id for call in message.tool_calls)
            unanswered = set(calls)
        else:
            calls = frozenset()
    return _order_error(_UNANSWERED_TEXT, caller, "role") if unanswered else None


def _order_error(message: str, index: int, member: str) -> InvalidRequestError:
    return InvalidRequestError(message, param=f"messages.[{index}].{member}")
