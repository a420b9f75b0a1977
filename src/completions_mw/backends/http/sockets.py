"""Whether an idle connection is still open and silent, and how long a read of one waits."""

import os
import select
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

from completions_mw.backends.polling import new_poll

_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
"""Option of TCP sockets, whose first byte is the state of the connection; only where the system is Linux."""
_ESTABLISHED: Final = b"\x01"
_SO_MEMINFO: Final = 55
"""Option of Linux's sockets, whose first word is the memory of what has come and was not read (asm-generic/socket.h)."""


def is_silent(sock: socket.socket) -> bool:
    """Return whether a connected socket is open and has nothing to read.

    Python lets go of the GIL for `poll`, and other threads keep it for a while: under load that alone would be a quarter of what a request
    costs. It keeps it for socket options, which on Linux say the same. What they do not vouch for is polled.
    """
    if _TCP_INFO is not None:
        try:
            if sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1) == _ESTABLISHED and not any(
                sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4)
            ):
                return True
        except OSError:
            # No such options, as in some sandboxes.
            pass
    poll = _unpatched_poll()()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)


def _unpatched_poll() -> Callable[[], Any]:
    """Return the poll that does not switch greenlets, for those that never wait."""
    monkey = sys.modules.get("gevent.monkey")
    poll: Callable[[], Any] = monkey.get_original("select", "poll") if monkey is not None else new_poll
    return poll


def wait_at_most(sock: socket.socket, seconds: float) -> None:
    """Let reads and writes of a connected socket end with TimeoutError or BlockingIOError after so many seconds.

    The kernel's time-outs cost one system call for a read, where Python's cost two. Neither OpenSSL nor green sockets heed them.
    """
    sock.settimeout(None)
    if isinstance(sock, ssl.SSLSocket) or not os.get_blocking(sock.fileno()):
        return sock.settimeout(seconds)
    interval = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
    return None
