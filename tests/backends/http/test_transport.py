"""The logic of both transports, over a connection that is none."""

from contextlib import suppress

import pytest

from completions_mw.backends.http.call import UpstreamCall
from completions_mw.backends.http.call_connection import CallConnection
from completions_mw.backends.http.request_head import Origin
from completions_mw.backends.http.transport import HttpTransport, Pools
from completions_mw.backends.pool import Pool
from completions_mw.blocking import run_sync
from completions_mw.errors import UpstreamError
from completions_mw.http import ClientConnection, UpstreamRequest
from tests.support.upstream_call import CHUNKED


class LostConnection:
    """Gives all that ever comes in one moment, and with it the end."""

    def is_usable(self) -> bool:
        return False

    async def send(self, call: UpstreamCall, head: bytes, body: bytes) -> None:
        call.sent(0)
        call.receive(CHUNKED + b"2\r\nhi\r\n", 0)
        call.receive_end(is_clean=False)

    async def wait(self, until: float, client: ClientConnection | None) -> bool:
        raise AssertionError("there is nothing to wait for")

    def end_call(self) -> None:
        raise AssertionError("no other call may use it")

    def close(self) -> None: ...

    def drop(self) -> None: ...


class Turn:
    """A call that takes what it gets."""

    def __init__(self, caller: str) -> None:
        self.caller = caller

    def offer(self, connection: CallConnection | None, /) -> bool:
        return True


class LosingTransport(HttpTransport):
    def _own_pools(self) -> Pools:
        return {}

    async def _acquire(self, pool: Pool[CallConnection], caller: str, until: float) -> CallConnection | None:
        pool.acquire(Turn(caller), 0)
        return None

    async def _open(self, origin: Origin, seconds: float, deadline: float) -> CallConnection:
        return LostConnection()


def test_what_came_with_the_end_of_a_connection_is_handed_on_before_the_failure() -> None:
    async def read() -> bytes:
        response = await LosingTransport(1, 1, 1, 0, 1).send(UpstreamRequest("http://upstream.test/", (), b""))
        piece = await response.body.__anext__()
        with pytest.raises(UpstreamError, match="before its answer was complete"):
            await response.body.__anext__()
        return piece

    assert run_sync(read()) == b"hi"


class Clock:
    """Time that passes only while a request is sent."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class StaleTransport(LosingTransport):
    """Has a kept connection that the upstream closes `after` so many seconds, without a word, and then a new one that answers."""

    def __init__(self, clock: Clock, after: float) -> None:
        super().__init__(1, 1, 1, 0, 1)
        self.clock = clock
        self.after = after
        self.opened = 0

    async def _acquire(self, pool: Pool[CallConnection], caller: str, until: float) -> CallConnection | None:
        pool.acquire(Turn(caller), 0)
        return StaleConnection(self.clock, self.after)

    async def _open(self, origin: Origin, seconds: float, deadline: float) -> CallConnection:
        self.opened += 1
        return LostConnection()


class StaleConnection(LostConnection):
    def __init__(self, clock: Clock, after: float) -> None:
        self.clock = clock
        self.after = after

    async def send(self, call: UpstreamCall, head: bytes, body: bytes) -> None:
        call.sent(self.clock.now)
        self.clock.now += self.after
        call.receive_end(is_clean=False)


@pytest.mark.parametrize(("after", "opened"), [(0.0, 1), (5.0, 1), (5.5, 0)])
def test_an_upstream_that_may_have_worked_for_a_request_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, after: float, opened: int
) -> None:
    clock = Clock()
    monkeypatch.setattr("completions_mw.backends.http.transport.SYSTEM_CLOCK", clock)
    transport = StaleTransport(clock, after)
    with suppress(UpstreamError):
        run_sync(transport.send(UpstreamRequest("http://upstream.test/", (), b"")))
    assert transport.opened == opened
