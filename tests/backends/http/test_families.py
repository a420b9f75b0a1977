"""Upstreams with addresses of both families, of which one may be dead (RFC 8305)."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.backends.http.sides import Side, asking, every_side
from tests.support.proxy import Blackhole, FaultProxy
from tests.support.tls import read_request


def can_use_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not can_use_ipv6(), reason="this machine has no IPv6")


def serve(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            if read_request(connection):
                family = b"ipv6" if listener.family == socket.AF_INET6 else b"ipv4"
                connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\n" + family)


def listening(host: str, family: socket.AddressFamily) -> Iterator[int]:
    with socket.create_server((host, 0), family=family) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture(scope="module")
def ipv4() -> Iterator[int]:
    yield from listening("127.0.0.1", socket.AF_INET)


@pytest.fixture(scope="module")
def ipv6() -> Iterator[int]:
    yield from listening("::1", socket.AF_INET6)


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Gives a name these addresses, in this order, and returns a URL with the name."""

    def give(*addresses: tuple[str, int]) -> str:
        resolve = socket.getaddrinfo

        def look_up(host: str, port: int, *more: Any, **options: Any) -> list[Any]:
            if host != "dual.test" or options.get("flags"):
                return resolve(host, port, *more, **options)
            return [found for one in addresses for found in resolve(*one, *more, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return "http://dual.test:1/v1"

    return give


@needs_ipv6
@every_side
def test_an_upstream_with_an_address_of_ipv6_only(ipv6: int, name: Callable[..., str], on: Side) -> None:
    assert on(asking(f"http://[::1]:{ipv6}/v1")) == [b"ipv6"]
    assert on(asking(name(("::1", ipv6)))) == [b"ipv6"]


@needs_ipv6
@every_side
@pytest.mark.parametrize("first", ["::1", "127.0.0.1"])
def test_a_family_in_which_nobody_listens(ipv4: int, ipv6: int, name: Callable[..., str], first: str, on: Side) -> None:
    alive, answer = (("127.0.0.1", ipv4), b"ipv4") if first == "::1" else (("::1", ipv6), b"ipv6")
    with socket.socket(socket.AF_INET6 if first == "::1" else socket.AF_INET) as deaf:
        deaf.bind((first, 0))
        assert on(asking(name((first, deaf.getsockname()[1]), alive))) == [answer]


@needs_ipv6
@every_side
def test_a_family_that_does_not_answer(ipv6: int, name: Callable[..., str], on: Side) -> None:
    """All its addresses together cost one delay, as the families take turns."""
    with FaultProxy("127.0.0.1", 1, Blackhole()) as dead:
        assert on(asking(name(*[("127.0.0.1", dead.port)] * 3, ("::1", ipv6)))) == [b"ipv6"]
