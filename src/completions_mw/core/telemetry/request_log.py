"""The observer that logs requests and failures."""

import logging
from typing import Any, Final

from completions_mw.core.telemetry.log import access_log, event_log, log_event, log_exception
from completions_mw.core.telemetry.observer import ObservedRequest, Observer, Step
from completions_mw.errors import ClientDisconnectedError, GatewayError, InternalError

_OPERATORS_STATUSES: Final = frozenset({401, 402, 403})
"""Statuses by which an upstream refuses the key or the account of the operator, which no retry fixes."""


class RequestLog(Observer):
    """Logs each HTTP request to `completions_mw.access`, and failures to `completions_mw`."""

    def completed(self, step: Step, request: ObservedRequest) -> None:
        if step == "request" and request.is_http and access_log.isEnabledFor(logging.INFO):
            _log_access(request, 200, None)

    def failed(self, step: Step, request: ObservedRequest, error: BaseException) -> None:
        if step == "target" and isinstance(error, GatewayError):
            _log_upstream_failure(request, error)
        elif step == "request" and request.is_http:
            if isinstance(error, Exception) and not isinstance(error, GatewayError):
                log_exception("internal_error", error, debug=request.debug, request_id=request.id)
            if access_log.isEnabledFor(logging.INFO):
                _log_access(request, *verdict(error), error if isinstance(error, GatewayError) else None)

    def noted(self, event: str, request: ObservedRequest, **details: Any) -> None:
        log_event(logging.WARNING, event, request_id=request.id, **details)


def verdict(error: BaseException) -> tuple[int, str | None]:
    """Return the HTTP status and error code of a request that ended with `error`; 499 for a client that left."""
    if isinstance(error, GatewayError):
        return error.status, error.code
    # Only a cancelled task ends with an error that is not an `Exception`.
    kind = InternalError if isinstance(error, Exception) else ClientDisconnectedError
    return kind.status, kind.code


def _log_access(request: ObservedRequest, status: int, code: str | None, error: GatewayError | None = None) -> None:
    usage = request.usage or {}
    log_event(
        logging.INFO,
        "request",
        logger=access_log,
        request_id=request.id,
        status=status,
        code=code,
        param=error.param if error is not None else None,
        caller=request.caller,
        tenant=request.tenant,
        model=request.model or (error.model if error is not None else None),
        target=request.target or (error.target if error is not None else None),
        stream=request.stream,
        cache=request.cache,
        ms=request.milliseconds(),
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens"),
        client_request_id=request.client_request_id,
    )


def _log_upstream_failure(request: ObservedRequest, error: GatewayError) -> None:
    level = logging.ERROR if error.upstream_status in _OPERATORS_STATUSES else logging.WARNING
    if not event_log.isEnabledFor(level):
        return
    log_event(
        level,
        "upstream_failed",
        request_id=request.id,
        target=request.target,
        status=error.status,
        code=error.code,
        upstream_status=error.upstream_status,
        upstream_code=error.upstream_code,
        key=error.upstream_key,
        cause=type(error.__cause__).__name__ if error.__cause__ else None,
        maybe_billed=error.maybe_billed or None,
    )
