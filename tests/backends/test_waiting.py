"""Waits within a request, and two attempts at once, in threads and on event loops."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from completions_mw.backends.waiting.asynchronous import AsyncWaiting
from completions_mw.backends.waiting.blocking import BlockingWaiting
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Waiting
from completions_mw.errors import ClientDisconnectedError
from completions_mw.http import ClientConnection

FOREVER = 600.0
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Client:
    """The connection of a client, who leaves when the test says so."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()
        self.has_left = False

    def fileno(self) -> int:
        return self._ours.fileno()

    def is_gone(self) -> bool:
        return self.has_left

    def leave(self) -> None:
        self.has_left = True
        self.theirs.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._ours.close()
        self.theirs.close()


class Kind(NamedTuple):
    waiting: Waiting
    run: Run


@pytest.fixture(params=["blocking", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return Kind(BlockingWaiting(), run_sync) if request.param == "blocking" else Kind(AsyncWaiting(), asyncio.run)


@pytest.fixture
def client() -> Any:
    made = Client()
    yield made
    made.close()


async def nothing(_: ClientConnection | None) -> str | None:
    return None


async def now(_: ClientConnection | None) -> str | None:
    return "now"


class Dropped:
    def __init__(self) -> None:
        self.results: list[str | None] = []
        self.happened = threading.Event()

    async def __call__(self, result: str | None) -> None:
        self.results.append(result)
        self.happened.set()


class Stuck:
    """A contestant that works until it is called back."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self.ended = threading.Event()

    async def __call__(self, connection: ClientConnection | None) -> str | None:
        try:
            await self._waiting.pause(FOREVER, connection)
        finally:
            self.ended.set()
        return "never"


def test_a_pause_passes(kind: Kind) -> None:
    kind.run(kind.waiting.pause(0.001, None))


def test_a_client_that_sends_more_does_not_end_a_pause(client: Client) -> None:
    client.theirs.send(b"GET")
    run_sync(BlockingWaiting().pause(0.001, client))


def test_a_client_that_leaves_ends_a_pause_of_threads(client: Client) -> None:
    client.leave()
    with pytest.raises(ClientDisconnectedError):
        run_sync(BlockingWaiting().pause(FOREVER, client))


def test_what_is_soon_enough_runs_alone(kind: Kind) -> None:
    dropped = Dropped()
    assert kind.run(kind.waiting.race(now, Stuck(kind.waiting), FOREVER, None, dropped)) == "now"


def test_what_fails_soon_is_not_followed(kind: Kind) -> None:
    stuck = Stuck(kind.waiting)
    assert kind.run(kind.waiting.race(nothing, stuck, FOREVER, None, Dropped())) is None
    assert not stuck.ended.is_set()


def test_what_is_late_is_called_back(kind: Kind) -> None:
    stuck = Stuck(kind.waiting)
    assert kind.run(kind.waiting.race(stuck, now, 0.001, None, Dropped())) == "now"
    assert stuck.ended.wait(30)


def test_if_the_second_one_fails_the_first_one_goes_on(kind: Kind) -> None:
    second_has_failed = threading.Event()

    async def second(_: ClientConnection | None) -> str | None:
        second_has_failed.set()
        return None

    async def first(_: ClientConnection | None) -> str | None:
        while not second_has_failed.is_set():
            await kind.waiting.pause(0.001, None)
        return "first"

    assert kind.run(kind.waiting.race(first, second, 0.001, None, Dropped())) == "first"


def test_a_fault_ends_the_race(kind: Kind) -> None:
    async def fault(_: ClientConnection | None) -> str | None:
        raise LookupError("a fault of the host app")

    stuck = Stuck(kind.waiting)
    with pytest.raises(LookupError):
        kind.run(kind.waiting.race(stuck, fault, 0.001, None, Dropped()))
    assert stuck.ended.wait(30)


def test_a_result_that_comes_too_late_is_dropped(client: Client) -> None:
    """In threads: one that does not look whether it was called back."""
    is_over, dropped = threading.Event(), Dropped()

    async def deaf(_: ClientConnection | None) -> str | None:
        is_over.wait(30)
        return "late"

    assert run_sync(BlockingWaiting().race(deaf, now, 0.001, client, dropped)) == "now"
    is_over.set()
    assert dropped.happened.wait(30)
    assert dropped.results == ["late"]


def test_of_two_results_at_once_one_is_dropped() -> None:
    """On an event loop: both tasks have ended when the race looks."""
    dropped = Dropped()

    async def race() -> str | None:
        go = asyncio.Event()

        async def first(_: ClientConnection | None) -> str | None:
            await go.wait()
            return "first"

        async def second(_: ClientConnection | None) -> str | None:
            go.set()
            await go.wait()
            await asyncio.sleep(0)
            return "second"

        return await AsyncWaiting().race(first, second, 0.001, None, dropped)

    assert sorted([asyncio.run(race()) or "", *map(str, dropped.results)]) == ["first", "second"]


def test_a_client_that_leaves_ends_a_race_of_threads(client: Client) -> None:
    waiting = BlockingWaiting()
    first, second = Stuck(waiting), Stuck(waiting)

    async def second_then_leave(connection: ClientConnection | None) -> str | None:
        client.leave()
        return await second(connection)

    with pytest.raises(ClientDisconnectedError):
        run_sync(waiting.race(first, second_then_leave, 0.001, client, Dropped()))
    assert first.ended.wait(30)
    assert second.ended.wait(30)


def test_a_task_that_is_cancelled_ends_its_race() -> None:
    waiting = AsyncWaiting()
    first, second = Stuck(waiting), Stuck(waiting)

    async def main() -> None:
        begun = asyncio.Event()

        async def begin(connection: ClientConnection | None) -> str | None:
            begun.set()
            return await second(connection)

        task = asyncio.create_task(waiting.race(first, begin, 0.001, None, Dropped()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert first.ended.is_set()
        assert second.ended.is_set()

    asyncio.run(main())


def test_the_winner_in_a_thread_watches_the_client_from_then_on(client: Client) -> None:
    """What it has opened is read by the thread that waited."""
    watched: list[ClientConnection | None] = []

    async def winner(connection: ClientConnection | None) -> str | None:
        watched.append(connection)
        return "won"

    assert run_sync(BlockingWaiting().race(winner, nothing, FOREVER, client, Dropped())) == "won"
    [own] = watched
    assert own is not None
    assert (own.fileno(), own.is_gone()) == (client.fileno(), False)
    client.leave()
    assert own.is_gone()
