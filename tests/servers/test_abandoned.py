"""Answers that nobody waits for, on real servers: they are paid, and clients that do not read hold nothing for ever (docs/promises.md)."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from completions_mw import Gateway
from tests.servers.apps import KEY
from tests.servers.client import StreamClient, chat, content_of
from tests.servers.conftest import Note, Running, Start, Upstream
from tests.servers.fleet import books, models
from tests.servers.kinds import GUNICORN_GTHREAD, UVICORN_HTTPTOOLS, Kind
from tests.servers.metered import TOKENS
from tests.servers.patience import STORE_PATIENCE
from tests.support.rawhttp import RawClient
from tests.support.waiting import wait_until

POOL, STUCK = 10, 12
TOTAL = 2.0
EACH = 8
"""Requests that leave in the same way."""
PRICES = {"input": "0", "output": "1000"}
OPTIONS = {GUNICORN_GTHREAD: ("--threads", str(POOL)), UVICORN_HTTPTOOLS: ()}
each_kind = pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.id)


def settings(ledger: str, **more: object) -> str:
    return json.dumps(
        {
            "models": models("metered", "gush", "ok", prices=PRICES, max_output_tokens=TOKENS),
            "keys": {"team": {"secret": KEY, "budget": {"usd": "1000000", "period": "total"}}},
            "stores": {"ledger": ledger, "ledger_timeout": STORE_PATIENCE},
            "connections": {"max": POOL, "wait": 1.0, "share": 1.0},
            "timeouts": {"total": TOTAL},
            # The upstream is late on purpose, one request after another.
            "breaker": {"enabled": False},
            "max_response_bytes": 256 * 1024 * 1024,
            **more,
        }
    )


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'completions.db'}"


@contextlib.contextmanager
def clients_of(server: Running, count: int, receive_buffer: int | None = None) -> Iterator[list[StreamClient]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(StreamClient(server.port, receive_buffer=receive_buffer)) for _ in range(count)]


def charged(reader: Gateway, requests: int) -> int:
    """Return the tokens of all answers, once so many requests are settled and nothing is held."""

    def settled() -> bool:
        return [row.requests for row in reader.usage()] == [requests] and reader.balances("team")[0].reserved == 0

    wait_until(settled)
    [row] = reader.usage()
    return row.completion_tokens


def leave_nearly_done(server: Running, upstream: Upstream, text: str, *, stream: bool) -> None:
    """Ask `EACH` times, and leave when nine tenths are done."""
    with clients_of(server, EACH) as clients:
        for client in clients:
            client.send(chat("metered", text, stream=stream, max_tokens=TOKENS))
        for _ in clients:
            assert upstream.metered.nearly.acquire(timeout=30)
    upstream.wait_for(lambda: len(upstream.closed) == EACH)


def leave_plain(server: Running, upstream: Upstream) -> None:
    leave_nearly_done(server, upstream, "plain", stream=False)


def leave_before_the_first_token(server: Running, upstream: Upstream) -> None:
    leave_nearly_done(server, upstream, "thinking", stream=True)


def leave_before_the_usage(server: Running, upstream: Upstream) -> None:
    with clients_of(server, EACH) as clients:
        for client in clients:
            client.ask("metered", "finished", max_tokens=TOKENS)
        for client in clients:
            client.start()
            while '"stop"' not in (client.next_event() or pytest.fail("there is no end")).text:
                pass


def wait_for_504(server: Running, upstream: Upstream) -> None:
    with clients_of(server, EACH) as clients:
        for client in clients:
            client.send(chat("metered", "never", max_tokens=TOKENS))
        for client in clients:
            answer = client.read_answer()
            assert (answer.status, answer.head.header("x-should-retry")) == (504, "false")


WAYS = (leave_plain, leave_before_the_first_token, leave_before_the_usage, wait_for_504)


@each_kind
def test_leaving_is_not_free(kind: Kind, start: Start, upstream: Upstream, ledger: str, note: Note) -> None:
    with start(kind, *OPTIONS[kind], SETTINGS=settings(ledger)) as server, books(ledger) as reader:
        paid = requests = 0
        for way in WAYS:
            upstream.begin()
            way(server, upstream)
            requests += EACH
            before, paid = paid, charged(reader, requests)
            note(f"{kind.id}: tokens charged of {upstream.metered.billed}, {way.__name__}", (paid - before) / 1000)
            assert upstream.metered.billed / 2 <= paid - before <= upstream.metered.billed
        with StreamClient(server.port) as person:
            person.ask("metered", "talking", max_tokens=400)
            person.start()
            for _ in range(6):
                person.next_event()
        assert charged(reader, requests + 1) - paid <= 50


@each_kind
@pytest.mark.parametrize("is_cached", [False, True], ids=["", "cached"])
@pytest.mark.parametrize(("total", "most"), [(TOTAL, 30.0), pytest.param(5.0, 7.0, marks=pytest.mark.soak)])
def test_clients_that_do_not_read_hold_nothing_beyond_the_time_of_an_answer(
    kind: Kind, total: float, most: float, is_cached: bool, start: Start, upstream: Upstream, ledger: str, note: Note
) -> None:
    # `send_timeout` would free them sooner.
    cache = {"enabled": is_cached, "when": "always"}
    bounds = settings(ledger, timeouts={"total": total}, send_timeout=600, cache=cache)
    with start(kind, *OPTIONS[kind], SETTINGS=bounds) as server, books(ledger) as reader:
        with clients_of(server, STUCK, receive_buffer=4096) as clients:
            for number, client in enumerate(clients):
                client.ask("gush", f"text {number}")
            upstream.wait_for(lambda: upstream.most_active_requests == POOL)
            full = time.monotonic()
            upstream.wait_for(lambda: len(upstream.closed) >= POOL)
            seconds = time.monotonic() - full
            note(f"{kind.id}: a pool that clients hold who do not read is free after", seconds)
            assert seconds <= most
            with RawClient(server.port) as other:
                assert content_of(other.exchange(chat("ok", max_tokens=5))) == "hello"
        wait_until(lambda: reader.balances("team")[0].reserved == 0)
