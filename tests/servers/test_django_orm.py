"""Django's ORM in the host app goes on to work under gevent while our answers stream (docs/promises.md, Hosts and servers)."""

import contextlib
from pathlib import Path

from tests.servers.client import PATH, StreamClient, body, get, text_of
from tests.servers.conftest import Start, Upstream
from tests.servers.kinds import gunicorn
from tests.support.rawhttp import RawClient, request

DJANGO = gunicorn("django", "-k", "gevent", app="tests.servers.django_app:app")
STREAMS = 20
NOTES = 40


def test_orm_works_beside_streams(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    with start(DJANGO, DATABASE=str(tmp_path / "notes.sqlite3")) as server, contextlib.ExitStack() as stack:
        assert get(server.port, "/write/ada") == "ada"
        clients = [stack.enter_context(StreamClient(server.port)) for _ in range(STREAMS)]
        for number, client in enumerate(clients):
            client.send(request(PATH, body("stall-2", f"nonce {number}", stream=True), ("x-visitor", "ada")))
        for client in clients:
            client.start()
        writers = [stack.enter_context(RawClient(server.port)) for _ in range(NOTES)]
        for number, writer in enumerate(writers):
            writer.send(request(f"/write/note-{number}", method="GET"))
        assert [writer.read_answer().body.decode() for writer in writers] == [f"note-{number}" for number in range(NOTES)]
        upstream.release()
        assert [text_of(client.rest_of_events()) for client in clients] == [f"nonce {number}" for number in range(STREAMS)]
