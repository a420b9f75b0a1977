"""The failures of calls to upstreams, as errors of the gateway: none tells which upstream failed, or quotes what it sent."""

import errno
import socket
from contextlib import suppress
from typing import Final

from completions_mw.errors import ServiceUnavailableError, UpstreamError, UpstreamTimeoutError, overloaded_error

_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
"""Errors of the system that are ours, not the upstream's: no descriptors, memory or ports are left."""


def not_connected(error: OSError) -> ServiceUnavailableError | UpstreamError:
    """Return the failure of a call whose connection could not be opened."""
    if error.errno in _EXHAUSTED or not _can_open_sockets():
        return overloaded_error()
    return UpstreamError("The upstream provider could not be reached.", code="upstream_unreachable")


def _can_open_sockets() -> bool:
    """Return whether this process has a descriptor left: look-ups of names and TLS that have none fail with errors of many kinds."""
    with suppress(OSError):
        socket.socket().close()
        return True
    return False


def connect_timed_out() -> UpstreamTimeoutError:
    """Return the failure of a call whose connection was not there in time: nothing was sent, so another target may be asked."""
    error = timed_out()
    error.next_target = True
    return error


def timed_out() -> UpstreamTimeoutError:
    """Return the failure of a call that passed one of its deadlines."""
    return UpstreamTimeoutError("The upstream provider did not answer in time.")


def disconnected() -> UpstreamError:
    """Return the failure of a call whose connection ended before the answer did."""
    return UpstreamError("The upstream provider closed the connection before its answer was complete.", code="upstream_disconnected")


def not_http() -> UpstreamError:
    """Return the failure of a call whose answer does not begin as HTTP, or not within its bounds."""
    return UpstreamError("The upstream provider did not answer in valid HTTP.", code="upstream_protocol_error")


def encoded() -> UpstreamError:
    """Return the failure of a call whose answer is compressed, though the request did not allow that."""
    # Decoding could turn 200 KB into 200 MiB.
    return UpstreamError("The upstream provider sent an encoded answer.", code="upstream_protocol_error")
