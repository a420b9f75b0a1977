"""Turns exceptions of httpcore2 into errors of the gateway."""

from typing import Final

import httpcore2

from completions_mw.errors import GatewayError, ServiceUnavailableError, UpstreamError, UpstreamTimeoutError

FAILURES: Final = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)
_UNSENT_FAILURES: Final = (httpcore2.PoolTimeout, httpcore2.ConnectTimeout, httpcore2.ConnectError)
"""Failures before the request is sent."""


def gateway_error(error: Exception, *, in_body: bool = False) -> GatewayError:
    """Return the error that a client gets for a failure of httpcore2, without a hint at which upstream failed.

    Args:
        error: one of `FAILURES`.
        in_body: whether the response head had arrived.
    """
    failure = _meaning(error, in_body)
    failure.maybe_billed = not in_body and not isinstance(error, _UNSENT_FAILURES)
    return failure


def _meaning(error: Exception, in_body: bool) -> GatewayError:
    if isinstance(error, httpcore2.PoolTimeout):
        wait = (("retry-after", "1"),)
        return ServiceUnavailableError("Too many requests are under way. Please try again.", code="overloaded", headers=wait)
    if isinstance(error, httpcore2.TimeoutException):
        timeout = UpstreamTimeoutError("The upstream provider did not answer in time.")
        timeout.next_target = isinstance(error, httpcore2.ConnectTimeout)
        return timeout
    if isinstance(error, httpcore2.ConnectError):
        return UpstreamError("The upstream provider could not be reached.", code="upstream_unreachable")
    if in_body or isinstance(error, httpcore2.NetworkError):
        return UpstreamError("The upstream provider closed the connection before its answer was complete.", code="upstream_disconnected")
    return UpstreamError("The upstream provider did not answer in valid HTTP.", code="upstream_protocol_error")


def without_message(error: Exception) -> Exception:
    """Return the cause of a failure as tracebacks may show it: the text of a protocol error quotes what the upstream sent."""
    return type(error)() if isinstance(error, httpcore2.ProtocolError) else error
