"""Errors of upstreams, translated into the errors that a client gets (docs/contract.md, Errors)."""

from typing import Final

from completions_mw.errors import (
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RequestTooLargeError,
    ServiceUnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
    retry_headers,
)
from completions_mw.http import Headers
from completions_mw.providers.error_reports import Report, find_report, read_report
from completions_mw.providers.retry_advice import retry_advice

OVERLOADED: Final = 529
"""Status for overload, for which HTTP has none of its own; Anthropic sends it."""
_OVERLOAD_MS: Final = 5000
"""Advice on retries where an overloaded API gives none: overload is rarely over within a second."""
_UNKNOWN_MODEL: Final = frozenset({"model_not_found", "DeploymentNotFound"})
"""Codes of errors for a model that the upstream does not have: of OpenAI, and of Azure OpenAI."""


def parse_error(status: int, headers: Headers, body: bytes) -> GatewayError:
    """Return the client's error for an upstream's answer whose status is not 2xx.

    Errors that the client can correct keep the upstream's text, code and param; errors that only the operator can correct get a fixed text.
    """
    report = find_report(body)
    error = client_error(status, headers, report)
    error.upstream_code = report.code
    return error


def reported_error(value: object) -> UpstreamError:
    """Return the client's error for an answer with status 200 that reports an error.

    Args:
        value: the error as the upstream sent it: an object, a list, or a text.
    """
    report = read_report(value)
    message = report.message or "The upstream provider reported an error."
    error = UpstreamError(message, type=report.type, code=report.code, param=report.param)
    error.upstream_code = report.code
    error.usage = value.get("usage") if isinstance(value, dict) else None
    return error


def client_error(status: int, headers: Headers, report: Report) -> GatewayError:
    """Return the client's error for a status and a report, whose code is one of OpenAI's or None."""
    message = report.message or "The upstream provider refused the request."
    code = report.code
    if status in (400, 422):
        return InvalidRequestError(message, code=code, param=report.param)
    if status == 404 and code in _UNKNOWN_MODEL:
        unknown = NotFoundError("The upstream provider does not know this model.", code=code)
        unknown.next_target = True
        return unknown
    if status == 413:
        return RequestTooLargeError(message)
    if status == 429 and code != "insufficient_quota":
        # Not OpenAI's own text, which names the operator's organization and the upstream's model.
        text = "The upstream provider has too many requests. Please try again later."
        return RateLimitError(text, code="upstream_rate_limited", type=report.type, headers=retry_advice(headers))
    if status == OVERLOADED:
        advice = retry_advice(headers) or retry_headers(_OVERLOAD_MS)
        text = "The upstream provider is overloaded. Please try again later."
        return ServiceUnavailableError(text, code="upstream_overloaded", headers=advice)
    if status in (408, 504):
        late = UpstreamTimeoutError("The upstream provider did not answer in time.")
        # A proxy of the upstream no longer waits for a model that may be at work; 408 says that the request has not arrived.
        late.maybe_billed = status == 504
        late.next_target = status == 408
        return late
    return UpstreamError(f"The upstream provider failed (status {status}).", code="upstream_error", headers=retry_advice(headers))
