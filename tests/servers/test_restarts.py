"""The life of server processes: restarts under load, several workers, forks (FAULTS FC-118)."""

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

import pytest

from tests.servers.apps import KEY
from tests.servers.client import StreamClient, chat, content_of, get, text_of
from tests.servers.conftest import ROOT, Start, Upstream
from tests.servers.kinds import GUNICORN_GEVENT, GUNICORN_GTHREAD, GUNICORN_SYNC, UVICORN_H11, UVICORN_HTTPTOOLS, Kind
from tests.support.rawhttp import RawClient

CLIENTS = 4


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


def pids(port: int, count: int) -> set[str]:
    """Return the ids of the processes that answer, as soon as there are `count`."""
    found: set[str] = set()
    while len(found) < count:
        found.add(get(port, "/page").split()[1])
    return found
