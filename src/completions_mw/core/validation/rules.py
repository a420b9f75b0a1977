"""Rules over several fields of a request, with the texts of OpenAI's API (docs/contract.md, Validation)."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from completions_mw.core.validation.faults import CHAT_ORDER, Fault
from completions_mw.errors import InvalidRequestError

MAX_TOP_LOGPROBS: Final = 20


class Rule(NamedTuple):
    """A rule over several fields, for requests that have `field`."""

    field: str
    is_broken: Callable[[dict[str, Any]], bool]
    """Check of the request's fields."""
    message: str
    last: bool = False
    """Whether OpenAI's API reports the fault after the faults of all other fields."""
    param: str | None = None
    code: str | None = None

    def fault(self) -> Fault:
        """Return the fault of a request that breaks the rule."""
        error = InvalidRequestError(self.message, param=self.param or self.field, code=self.code)
        return Fault(CHAT_ORDER.rank_of(self.field, last=self.last), error)


RULES: Final = (
    Rule(
        "function_call",
        lambda fields: "functions" not in fields and fields["function_call"] not in ("none", "auto"),
        "Invalid value for 'function_call': 'function_call' is only allowed when 'functions' are specified.",
    ),
    Rule(
        "tool_choice",
        lambda fields: "tools" not in fields and fields["tool_choice"] not in ("none", "auto"),
        "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
    ),
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
RULED_FIELDS: Final = frozenset(rule.field for rule in RULES)
"""Fields that have rules: most requests have none of them."""
