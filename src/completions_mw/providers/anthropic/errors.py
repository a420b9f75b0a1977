"""Errors of Anthropic's API, translated into those that a client gets (docs/contract.md, Errors).

Source: https://platform.claude.com/docs/en/api/errors.
"""

import re
from typing import Any, Final

from completions_mw.errors import (
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    UpstreamError,
)
from completions_mw.http import Headers
from completions_mw.providers.client_errors import OVERLOADED, client_error
from completions_mw.providers.error_reports import Report, find_report, read_report

_STATUSES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": OVERLOADED,
}
"""Status of an error by its type, for errors in streams, which have none."""
_FAILURE: Final = 500
_is_of_operator: Final = re.compile(r"credit balance|usage limits?|spend limit", re.IGNORECASE).search
"""Matches errors with status 400 that are about the operator's account, and not about the request."""
_is_too_long: Final = re.compile(r"prompt is too long|exceeds? (the )?(available )?context (limit|window|size)", re.IGNORECASE).search
_PATH: Final = re.compile(r"^([a-z_]+)(?:\.[\w-]+)*(?=: )")
_NAMES: Final = (
    (re.compile(r"\bthinking\.[\w.]*\w|\boutput_config\.effort\b"), "reasoning_effort"),
    (re.compile(r"\boutput_config\.format[\w.]*"), "response_format"),
    (re.compile(r"\bstop_sequences\b"), "stop"),
    (re.compile(r"\bsystem(?=: )"), "messages"),
)
"""Parameters of this API in an error's text, and those of OpenAI's API that they come from."""
_PARAMS: Final = frozenset(
    ["max_tokens", "messages", "reasoning_effort", "response_format", "stop", "temperature", "tool_choice", "tools", "top_k", "top_p"]
)


def parse_error(status: int, headers: Headers, body: bytes) -> GatewayError:
    """Return the client's error for an answer whose status is not 2xx."""
    return _error(status, headers, find_report(body))


def reported_error(data: dict[str, Any]) -> GatewayError:
    """Return the client's error for an error in place of an answer with status 200, or of an event of a stream."""
    report = read_report(data)
    return _error(_STATUSES.get(report.type or "", _FAILURE), (), report)


def _error(status: int, headers: Headers, report: Report) -> GatewayError:
    error = _meaning(status, headers, report)
    error.upstream_code = report.type
    return error


def _meaning(status: int, headers: Headers, report: Report) -> GatewayError:
    if status == _STATUSES["not_found_error"] and report.message.startswith("model:"):
        unknown = NotFoundError("The upstream provider does not know this model.", code="model_not_found")
        unknown.next_target = True
        return unknown
    if status != _STATUSES["invalid_request_error"]:
        return client_error(status, headers, report)
    if _is_of_operator(report.message):
        return UpstreamError(f"The upstream provider failed (status {status}).")
    return _invalid(report.message or "The upstream provider refused the request.")


def _invalid(text: str) -> InvalidRequestError:
    """Return the error for a request that the API refused, in the words of the client's request."""
    for name, ours in _NAMES:
        text = name.sub(ours, text)
    if _is_too_long(text):
        return InvalidRequestError(text, param="messages", code="context_length_exceeded")
    # The rest of the path is of this API's request, in which messages are merged.
    found = _PATH.match(text)
    if found is None or found[1] not in _PARAMS:
        return InvalidRequestError(text)
    return InvalidRequestError(found[1] + text[found.end() :], param=found[1])
