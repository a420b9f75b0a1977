"""Whole answers that their clients do not read: large ones hold no thread and no memory for ever (docs/promises.md, Bounds).

Not granian: it takes an answer of this size into memory at once, and nobody waits for its client.
"""

import contextlib
import json

import pytest

from tests.servers.apps import KEY, SEND_TIMEOUT
from tests.servers.client import AUTHORIZATION, chat, content_of
from tests.servers.conftest import Start
from tests.servers.fleet import models
from tests.servers.kinds import GUNICORN_GEVENT, GUNICORN_GTHREAD, GUNICORN_SYNC, HYPERCORN, UVICORN_H11, UVICORN_HTTPTOOLS, Kind
from tests.support.rawhttp import RawClient, request
from tests.support.waiting import wait_until

LONG = "x" * 400_000
EMBEDDINGS = json.dumps({"model": "embed", "input": "hello", "dimensions": 100_000}).encode()
REQUESTS = {
    "embeddings": request("/api/v1/embeddings", EMBEDDINGS, AUTHORIZATION),
    "stored answer": chat("ok", LONG),
    "stored stream": chat("ok", LONG, stream=True),
}
SETTINGS = {
    "models": {**models("ok"), **models("embed", kind="embeddings")},
    "keys": {"team": {"secret": KEY}},
    "cache": {"enabled": True, "when": "always"},
}
DRIPPING = {**SETTINGS, "send_timeout": 600, "request_timeout": 2 * SEND_TIMEOUT}
SLOW = pytest.mark.soak
KINDS = (
    GUNICORN_GTHREAD,
    UVICORN_HTTPTOOLS,
    *(pytest.param(kind, marks=SLOW) for kind in (GUNICORN_SYNC, GUNICORN_GEVENT, UVICORN_H11, HYPERCORN)),
)


@pytest.mark.parametrize("settings", [SETTINGS, pytest.param(DRIPPING, marks=SLOW)], ids=["", "total"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_clients_that_do_not_read_whole_answers_are_given_up(kind: Kind, settings: dict[str, object], start: Start) -> None:
    # No more threads than clients that would hold one.
    options = ("--threads", str(len(REQUESTS))) if kind is GUNICORN_GTHREAD else ()
    with start(kind, *options, SETTINGS=json.dumps(settings)) as server, contextlib.ExitStack() as stack:
        for wanted in REQUESTS.values():
            with RawClient(server.port) as reader:
                assert reader.exchange(wanted).complete
        stuck = [stack.enter_context(RawClient(server.port, receive_buffer=1, segment=88)) for _ in REQUESTS]
        for client, wanted in zip(stuck, REQUESTS.values(), strict=True):
            client.send(wanted)
        wait_until(lambda: server.process.output().count("answer_not_taken") == len(REQUESTS))
        with RawClient(server.port) as other:
            assert content_of(other.exchange(chat())) == "hello"
        assert not any(client.read_answer().complete for client in stuck)
        assert "Traceback" not in server.process.output()
