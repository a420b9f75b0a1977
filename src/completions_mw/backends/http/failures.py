"""What can go wrong between us and an upstream, in our errors."""

import httpcore2

from completions_mw.errors import GatewayError, ServiceUnavailableError, UpstreamError, UpstreamTimeoutError

FAILURES = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)
_UNSENT = (httpcore2.PoolTimeout, httpcore2.ConnectTimeout, httpcore2.ConnectError)
"""What comes before the request is sent."""


def gateway_error(error: Exception, *, in_body: bool = False) -> GatewayError:
    """Return what a failure of httpcore2 means for our caller; of the upstream it says nothing, not even its name."""
    failure = _meaning(error, in_body)
    failure.maybe_billed = not in_body and not isinstance(error, _UNSENT)
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
    """Return the cause of a failure as tracebacks may show it: what is not HTTP is quoted in its text, whatever it is."""
    return type(error)() if isinstance(error, httpcore2.ProtocolError) else error
