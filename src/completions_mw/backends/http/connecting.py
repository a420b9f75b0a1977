"""Connecting for threads and greenlets: the addresses of an upstream are tried as RFC 8305 says."""

import errno
import os
import select
import socket
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Final

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.polling import new_poll

HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds after which the next address is tried beside the one that does not answer (RFC 8305, section 5)."""


def connect(host: str, port: int, until: float) -> socket.socket:
    """Return a socket, without a time-out, that is connected to the first address of `host` that answers (RFC 8305).

    Raises:
        TimeoutError: none of them answers by the time `until`.
        OSError: none of them can be connected to.
    """
    sock = connect_first(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), until)
    sock.setblocking(True)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


def connect_first(addresses: Sequence[tuple[Any, ...]], until: float) -> socket.socket:
    """Return a socket that is connected to the first of several addresses that answers (RFC 8305).

    Args:
        addresses: as `socket.getaddrinfo` returns them, in the order in which they are tried.
        until: seconds of the monotonic clock.

    Raises:
        TimeoutError: none of them answers in time.
        OSError: none of them can be connected to.
    """
    trying: dict[int, socket.socket] = {}
    error: OSError = OSError("there is no address")
    waiting = _interleaved(addresses)
    try:
        while waiting or trying:
            now = SYSTEM_CLOCK.monotonic()
            if now >= until:
                raise TimeoutError
            if waiting:
                family, kind, protocol, _, address = waiting.pop(0)
                try:
                    sock = socket.socket(family, kind, protocol)
                except OSError as refused:
                    error = refused
                    continue
                sock.setblocking(False)
                code = sock.connect_ex(address)
                if code == 0:
                    return sock
                if code != errno.EINPROGRESS:
                    # As for a family without a route: such a socket would look writable.
                    error = OSError(code, os.strerror(code))
                    sock.close()
                    continue
                trying[sock.fileno()] = sock
            left = min(until - now, HAPPY_EYEBALLS_DELAY) if waiting else until - now
            connected, failure = _poll_connects(trying, left)
            if connected is not None:
                return connected
            error = failure or error
        raise error
    finally:
        for sock in trying.values():
            sock.close()


def _poll_connects(trying: dict[int, socket.socket], seconds: float) -> tuple[socket.socket | None, OSError | None]:
    """Wait for one of the connects to end; remove the ones that did."""
    poll = new_poll()
    for descriptor in trying:
        poll.register(descriptor, select.POLLOUT)
    failure: OSError | None = None
    for descriptor, _ in poll.poll(seconds * 1000):
        sock = trying.pop(descriptor)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            return sock, None
        failure = OSError(code, os.strerror(code))
        sock.close()
    return None, failure


def _interleaved(addresses: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return addresses with their families in turn, so that a dead family costs one delay and not one for each of its addresses."""
    turns = defaultdict[Any, Iterator[int]](count)
    return sorted(addresses, key=lambda address: next(turns[address[0]]))
