"""Servers that speak HTTP/2, to a client that knows it (RFC 9113 section 3.3)."""

import json
import socket
from collections.abc import Iterator

import h2.connection
import h2.events
import httpx2
import pytest

from tests.servers.apps import KEY
from tests.servers.client import AUTHORIZATION, PATH, body, text_of
from tests.servers.conftest import Running, Upstream
from tests.servers.kinds import GRANIAN, HYPERCORN, every

pytestmark = pytest.mark.soak

JSON = {"content-type": "application/json"}
on_servers = every((GRANIAN, HYPERCORN))


@pytest.fixture
def client(server: Running) -> Iterator[httpx2.Client]:
    headers = JSON | {"authorization": f"Bearer {KEY}"}
    with httpx2.Client(http1=False, http2=True, base_url=f"http://127.0.0.1:{server.port}", headers=headers, trust_env=False) as client:
        yield client


@on_servers
def test_answers_and_refusals_on_one_connection(server: Running, client: httpx2.Client, upstream: Upstream) -> None:
    for _ in range(2):
        refusal = client.post(PATH, content=b" " * 20_000, headers={"authorization": "Bearer sk-other"})
        assert (refusal.http_version, refusal.status_code, refusal.headers.get("connection")) == ("HTTP/2", 401, None)
        answer = client.post(PATH, content=body(text="hello there"))
        assert answer.json()["choices"][0]["message"]["content"] == "hello there"


@on_servers
def test_each_event_as_it_comes(server: Running, client: httpx2.Client, upstream: Upstream) -> None:
    events = []
    upstream.step()
    with client.stream("POST", PATH, content=body("stepwise", "one two three", stream=True)) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: ") and '"delta":{}' not in line.replace(" ", ""):
                events.append(line.removeprefix("data: "))
            if line.startswith("data: "):
                upstream.step()
    assert json.loads(events[0])["object"] == "chat.completion.chunk"
    assert text_of(events) == "one two three"


@on_servers
@pytest.mark.parametrize("resets", [True, False], ids=["stream", "connection"])
def test_leaving_closes_the_upstream(server: Running, upstream: Upstream, resets: bool) -> None:
    """By the end of the stream, which httpx2 tells nobody, or of the connection."""
    content = body("stall-2", stream=True)
    pseudo = {":method": "POST", ":path": PATH, ":scheme": "http", ":authority": "localhost"}
    state = h2.connection.H2Connection()
    state.initiate_connection()
    state.send_headers(1, [*pseudo.items(), *JSON.items(), AUTHORIZATION])
    state.send_data(1, content, end_stream=True)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(state.data_to_send())
        while not any(isinstance(event, h2.events.DataReceived) for event in state.receive_data(client.recv(65536))):
            client.sendall(state.data_to_send())
        if resets:
            state.reset_stream(1)
            client.sendall(state.data_to_send())
        else:
            client.close()
        upstream.wait_closed(10)
