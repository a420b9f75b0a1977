"""Errors of the Gemini API, translated into those of OpenAI's API (docs/contract.md, Errors).

Sources: https://ai.google.dev/gemini-api/docs/troubleshooting, and for the form https://cloud.google.com/apis/design/errors: an object
`error` with `code` (the HTTP status), `message`, `status` (a name), and `details` (objects with a type).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from completions_mw.errors import GatewayError
from completions_mw.http import Headers
from completions_mw.providers.client_errors import OVERLOADED, client_error
from completions_mw.providers.error_reports import Report
from completions_mw.providers.field_names import compiled, in_our_names
from completions_mw.providers.lenient_json import read_first_json

_FAILED: Final = 500
_OPERATORS_STATUS: Final = 403
"""Status for errors that only the operator can correct, although the API sends them with 400."""
_OPERATORS_REASONS: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "BILLING_DISABLED"})
_CONFIG: Final = r"(\w+\.)?generation_?config\."
_FIELD_NAMES: Final = compiled(
    response_format=_CONFIG + r"response_?(json_?schema|schema|mime_?type)[\w.\[\]]*",
    reasoning_effort=_CONFIG + r"thinking_?config[\w.]*",
    max_completion_tokens=_CONFIG + "max_?output_?tokens",
    stop=_CONFIG + r"stop_?sequences[\w\[\]]*",
    top_logprobs=_CONFIG + "logprobs",
    n=_CONFIG + "candidate_?count",
    tool_choice=r"(\w+\.)?tool_?config[\w.]*",
    tools=r"(\w+\.)?tools\[\d+\][\w.\[\]]*",
    messages=r"(\w+\.)?(contents\b|system_?instruction)[\w.\[\]]*",
)
_is_too_long: Final = re.compile(r"token count .*exceeds", re.DOTALL).search
_seconds: Final = re.compile(r"\d+(\.\d+)?(?=s$)").match


def parse_error(status: int, headers: Headers, body: bytes) -> GatewayError:
    """Return the client's error for an answer whose status is not 200."""
    return _error(status, headers, read_first_json(body))


def reported_error(answer: object) -> GatewayError:
    """Return the client's error for an answer with status 200, or an event of a stream, that reports an error."""
    return _error(None, (), answer)


def _error(status: int | None, headers: Headers, answer: object) -> GatewayError:
    reported = _object_in(answer)
    code, name, message = reported.get("code"), reported.get("status"), reported.get("message")
    status = status or (code if isinstance(code, int) else _FAILED)
    name = name if isinstance(name, str) else None
    message = message if isinstance(message, str) else ""
    details = list(_details_of(reported))
    reasons = {str(detail.get("reason")) for detail in details}
    if name == "UNAVAILABLE":
        status = OVERLOADED
    elif name == "FAILED_PRECONDITION" or reasons & _OPERATORS_REASONS:
        status = _OPERATORS_STATUS
    if (retry := _retry_seconds(details)) is not None:
        headers = (*headers, ("retry-after", retry))
    code = _openai_code(status, message)
    message, param = in_our_names(message, _FIELD_NAMES)
    param = "messages" if code == "context_length_exceeded" else param
    error = client_error(status, headers, Report(message, code=code, param=param))
    error.upstream_code = name
    return error


def _openai_code(status: int, message: str) -> str | None:
    """Return OpenAI's code for an error, where clients act on it."""
    if status == 404:
        return "model_not_found"
    return "context_length_exceeded" if _is_too_long(message) else None


def _object_in(answer: object) -> Mapping[str, Any]:
    if isinstance(answer, list) and answer:
        answer = answer[0]
    reported = answer.get("error") if isinstance(answer, dict) else None
    return reported if isinstance(reported, dict) else {}


def _details_of(reported: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    details = reported.get("details")
    return (detail for detail in (details if isinstance(details, list) else ()) if isinstance(detail, dict))


def _retry_seconds(details: list[dict[str, Any]]) -> str | None:
    """Return the seconds of a `google.rpc.RetryInfo`, whose delay is written as `17.5s`."""
    for detail in details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and (seconds := _seconds(delay)):
            return seconds[0]
    return None
