"""The life of server processes: restarts under load, several workers, forks (docs/promises.md, Processes, forks and clocks)."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.servers.apps import KEY
from tests.servers.client import StreamClient, chat, content_of, get, page, text_of
from tests.servers.conftest import ROOT, Start, Upstream
from tests.servers.kinds import GUNICORN_GEVENT, GUNICORN_GTHREAD, GUNICORN_SYNC, UVICORN_H11, UVICORN_HTTPTOOLS, Kind
from tests.support.rawhttp import RawClient

CLIENTS = 2


def ask(port: int, number: int) -> None:
    """Ask once for JSON and once for a stream, on new connections, and expect the number back."""
    with RawClient(port) as client:
        assert content_of(client.exchange(chat(text=f"nonce {number}"))) == f"nonce {number}"
    with StreamClient(port) as client:
        client.ask("ok", f"nonce {number}")
        client.start()
        assert text_of(client.rest_of_events()) == f"nonce {number}"


@contextmanager
def load(port: int) -> Iterator[Counter[str]]:
    """Ask all the time, from several threads; the counter says how it went."""
    outcomes: Counter[str] = Counter()
    enough = threading.Event()

    def keep_asking(number: int) -> None:
        while not enough.is_set():
            try:
                ask(port, number)
            except (AssertionError, OSError) as error:
                outcomes[repr(error)] += 1
            else:
                outcomes["answered"] += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        futures = [pool.submit(keep_asking, number) for number in range(CLIENTS)]
        try:
            yield outcomes
        finally:
            enough.set()
        for future in futures:
            future.result()


def workers(port: int) -> frozenset[str]:
    """Return the ids of the two processes that answer, as soon as both do."""
    found: set[str] = set()
    while len(found) < 2:
        found.add(worker_of(get(port, "/page")))
    return frozenset(found)


def worker_of(text: str) -> str:
    """Return the process id in what the host app says."""
    return text.split()[1]


@pytest.mark.parametrize(
    "kind",
    [GUNICORN_GTHREAD, *(pytest.param(kind, marks=pytest.mark.soak) for kind in (GUNICORN_SYNC, GUNICORN_GEVENT))],
    ids=lambda kind: kind.id,
)
def test_reload_under_load_fails_nobody(kind: Kind, start: Start, upstream: Upstream) -> None:
    with start(kind, "-w", "2") as server:
        old = workers(server.port)
        processes = [psutil.Process(int(pid)) for pid in old]
        with StreamClient(server.port) as early:
            early.ask("stall-2", "begun before")
            early.start()
            with load(server.port) as outcomes:
                server.process.signal(signal.SIGHUP)
                while not psutil.wait_procs(processes, timeout=0.1)[0]:
                    assert server.process.running()
                upstream.release()
                assert text_of(early.rest_of_events()) == "begun before"
                assert not psutil.wait_procs(processes, timeout=30)[1]
        assert not old & workers(server.port)
    assert set(outcomes) == {"answered"}


@pytest.mark.soak
@pytest.mark.parametrize("kind", [GUNICORN_SYNC, GUNICORN_GTHREAD, GUNICORN_GEVENT], ids=lambda kind: kind.id)
def test_workers_that_end_after_some_requests_fail_nobody(kind: Kind, start: Start, upstream: Upstream) -> None:
    with start(kind, "-w", "2", "--max-requests", "50", "--max-requests-jitter", "20") as server:
        first = workers(server.port)
        with load(server.port) as outcomes:
            upstream.wait_for(lambda: len(upstream.requests) >= 2000, timeout=300)
        assert not first & workers(server.port)
    assert set(outcomes) == {"answered"}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (GUNICORN_GTHREAD, ("-w", "2", "--preload")),
        (GUNICORN_GEVENT, ("-w", "2", "--preload")),
        (UVICORN_H11, ("--workers", "2")),
        (UVICORN_HTTPTOOLS, ("--workers", "2")),
    ],
    ids=lambda value: getattr(value, "id", None) or value[-1],
)
def test_every_worker_answers(kind: Kind, options: tuple[str, ...], start: Start, upstream: Upstream) -> None:
    """With `--preload` the gateway was made, and used, before the workers were forked."""
    answered: set[str] = set()
    with start(kind, *options, USE_AT_IMPORT="yes") as server:
        while len(answered) < 2:
            with RawClient(server.port) as client:
                worker = worker_of(page(client, "/page"))
                for number in range(3):
                    assert content_of(client.exchange(chat(text=f"{worker} {number}"))) == f"{worker} {number}"
                answered.add(worker)


BUDGETED = {
    "keys": {"team": {"secret": KEY, "budget": {"usd": "100", "period": "total"}}},
    "models": {"hang": {"targets": ["mock/hang"], "prices": {"input": "1", "output": "1"}}},
    "stores": {"ledger": "memory://"},
}


@pytest.mark.parametrize(
    ("lifespan", "settings"),
    [
        pytest.param("on", {}, id="lifespan"),
        # Without it uvicorn ends its process at once: in time are only requests that hold something.
        pytest.param("off", BUDGETED, id="budget"),
    ],
)
def test_a_whole_answer_that_is_cut_is_an_error_in_the_envelope(
    lifespan: str, settings: dict[str, Any], start: Start, upstream: Upstream
) -> None:
    options = ("--timeout-graceful-shutdown", "1", "--lifespan", lifespan)
    with start(UVICORN_HTTPTOOLS, *options, SETTINGS=json.dumps(settings)) as server, RawClient(server.port) as client:
        client.send(chat("hang"))
        upstream.wait_for(lambda: upstream.active_requests == 1)
        server.process.signal(signal.SIGTERM)
        answer = client.read_answer()
        server.process.wait(timeout=30)
        assert "Traceback" not in server.process.output()
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["type"], error["code"]) == (503, "server_error", "server_shutdown")
    assert (answer.head.header("x-should-retry"), bool(answer.head.header("x-request-id"))) == ("false", True)


def test_a_stream_that_is_cut_ends_with_an_error(start: Start, upstream: Upstream) -> None:
    with start(UVICORN_HTTPTOOLS, "--timeout-graceful-shutdown", "1") as server, StreamClient(server.port) as client:
        client.ask("stall-2", "begun before")
        client.start()
        assert client.next_event() is not None
        server.process.signal(signal.SIGTERM)
        *_, last = client.rest_of_events()
        server.process.wait(timeout=30)
        assert "Traceback" not in server.process.output()
    assert json.loads(last)["error"]["code"] == "server_shutdown"


def run_forking(upstream: Upstream, **env: str) -> None:
    """Run the process that forks, and expect every answer to be the right one."""
    before = upstream.connections
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.forking"],
        env={**os.environ, "UPSTREAM_URL": upstream.url, **env},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        upstream.wait_for(lambda: any(request.raw.find(b"parent") > 0 for request in upstream.requests), timeout=30)
        upstream.release()
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert json.loads(output) == {"child": 0, "parent": "in the parent", "stream": "begun before"}
    assert upstream.connections == before + 3


def test_gateway_in_use_survives_a_fork(upstream: Upstream) -> None:
    run_forking(upstream)
