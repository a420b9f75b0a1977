"""Errors of OpenAI and of compatible servers, translated into the errors that a client gets (docs/contract.md, Errors)."""

from typing import Any

from pydantic_core import from_json

from completions_mw.errors import (
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RequestTooLargeError,
    UpstreamError,
    UpstreamTimeoutError,
)
from completions_mw.http import Headers
from completions_mw.providers.retry_advice import retry_advice


def parse_error(status: int, headers: Headers, body: bytes) -> GatewayError:
    """Return the client's error for an upstream's answer whose status is not 200.

    Errors that the client can correct keep the upstream's text, code and param; errors that only the operator can correct get a fixed text.
    """
    report = _report_in(body)
    error = _meaning(status, headers, report)
    error.upstream_code = _text(report.get("code"))
    return error


def reported_error(report: object) -> UpstreamError:
    """Return the client's error for an answer with status 200 that reports an error.

    Args:
        report: the error as the upstream sent it: an object, or a plain string.
    """
    details = report if isinstance(report, dict) else {"message": report}
    message, code = details.get("message"), _text(details.get("code"))
    error = UpstreamError(
        message if isinstance(message, str) and message else "The upstream provider reported an error.",
        type=_text(details.get("type")),
        code=code,
        param=_text(details.get("param")),
    )
    error.upstream_code = code
    return error


def _meaning(status: int, headers: Headers, report: dict[str, Any]) -> GatewayError:
    message = str(report.get("message") or "The upstream provider refused the request.")
    code, param = _text(report.get("code")), _text(report.get("param"))
    if status in (400, 422):
        return InvalidRequestError(message, code=code, param=param)
    if status == 404 and code == "model_not_found":
        unknown = NotFoundError("The upstream provider does not know this model.", code=code)
        unknown.next_target = True
        return unknown
    if status == 413:
        return RequestTooLargeError(message)
    if status == 429 and code != "insufficient_quota":
        # Not OpenAI's own text, which names the operator's organization and the upstream's model.
        text = "The upstream provider has too many requests. Please try again later."
        return RateLimitError(text, code="upstream_rate_limited", type=_text(report.get("type")), headers=retry_advice(headers))
    if status in (408, 504):
        late = UpstreamTimeoutError("The upstream provider did not answer in time.")
        # A proxy of the upstream no longer waits for a model that may be at work; 408 says that the request has not arrived.
        late.maybe_billed = status == 504
        return late
    return UpstreamError(f"The upstream provider failed (status {status}).", code="upstream_error")


def _report_in(body: bytes) -> dict[str, Any]:
    try:
        data = from_json(body)
    except ValueError:
        return {}
    report = data.get("error", data) if isinstance(data, dict) else {}
    return report if isinstance(report, dict) else {"message": report}


def _text(value: object) -> str | None:
    """Return `value` as a string if it is a number, as in the error codes of some servers, or a string that is not empty; else None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
