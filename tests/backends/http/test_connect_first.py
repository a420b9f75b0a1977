"""Which of an upstream's addresses a blocking connection is made to (RFC 8305)."""

import errno
import socket
from typing import Any

import pytest

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.connecting import connect_first

PATIENCE = 20.0


def address(host: str, port: int) -> tuple[Any, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))


NO_ROUTE = address("255.255.255.255", 9)
"""An address to which TCP refuses to connect at once, as to a family without a route."""


@pytest.mark.parametrize("before", [[], [NO_ROUTE], [NO_ROUTE, NO_ROUTE]], ids=len)
def test_addresses_without_a_route_are_passed_over(before: list[tuple[Any, ...]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        addresses = [*before, address(*server.getsockname())]
        with connect_first(addresses, SYSTEM_CLOCK.monotonic() + PATIENCE) as sock:
            assert sock.getpeername() == server.getsockname()


def test_no_route_at_all_is_an_error() -> None:
    with pytest.raises(OSError, match="unreachable") as refused:
        connect_first([NO_ROUTE], SYSTEM_CLOCK.monotonic() + PATIENCE)
    assert refused.value.errno == errno.ENETUNREACH


def test_a_port_where_nobody_listens_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone, socket.create_server(("127.0.0.1", 0)) as server:
        refusing = address(*gone.getsockname())
        gone.close()
        with connect_first([refusing, address(*server.getsockname())], SYSTEM_CLOCK.monotonic() + PATIENCE) as sock:
            assert sock.getpeername() == server.getsockname()
