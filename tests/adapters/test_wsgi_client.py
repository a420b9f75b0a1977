"""The rest of a body on a gunicorn socket, which has no time limit of its own (docs/promises.md, Hosts and servers)."""

import socket
from collections.abc import Iterator

import pytest

from completions_mw.adapters.wsgi_client import discard

PATIENCE = 60.0


class Input:
    """Reads from a socket as gunicorn's input does: as much as was asked for, or to the end."""

    def __init__(self, sock: socket.socket, length: int) -> None:
        self._socket = sock
        self._left = length

    def read(self, size: int, /) -> bytes:
        piece = self._socket.recv(min(size, self._left)) if self._left else b""
        self._left -= len(piece)
        return piece


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_body_that_has_come_is_dropped_and_the_connection_stays(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"x" * 20_000 + b"next")
    assert discard(Input(ours, 20_000), {"gunicorn.socket": ours}, 30_000, PATIENCE)
    assert ours.gettimeout() is None
    assert ours.recv(100) == b"next"


@pytest.mark.parametrize(("limit", "seconds"), [(10**6, 0.05), (10_000, PATIENCE), (0, PATIENCE)], ids=["late", "large", "unread"])
def test_a_body_that_has_not_ended_is_not_waited_for(pair: tuple[socket.socket, socket.socket], limit: int, seconds: float) -> None:
    ours, theirs = pair
    theirs.sendall(b"x" * 20_000)
    body = Input(ours, 200_000)
    assert not discard(body, {"gunicorn.socket": ours}, limit, seconds)
    assert ours.gettimeout() is None
    # What gunicorn does next, in the thread of the request.
    while body.read(8192):
        pass
    ours.sendall(b"the answer")
    assert theirs.recv(100) == b"the answer"


def test_a_client_that_has_left_is_no_failure(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.sendall(b"the answer")
    theirs.close()
    assert not discard(Input(ours, 20_000), {"gunicorn.socket": ours}, 30_000, PATIENCE)
