"""What each server, bridge and host of docs/servers.md can do: the table there is made of this."""

import contextlib
import json
import signal
from collections.abc import Iterator

import pytest

from tests.servers.client import AUTHORIZATION, PATH, StreamClient, body, chat, content_of, get, text_of
from tests.servers.conftest import Upstream
from tests.servers.framing import chunked, head
from tests.servers.matrix.conftest import Serve, Served
from tests.servers.matrix.guests import GUESTS, Guest
from tests.support.envelope import REFUSALS, Refusal
from tests.support.rawhttp import Answer, RawClient, request
from tests.support.waiting import wait_until

pytestmark = pytest.mark.soak

WORDS = "one two three four five six seven eight nine ten"
PATIENCE = 30.0
"""Seconds that anything may take."""
NOTICE = 8.0
"""Seconds in which a server that sees that a client left has said so."""
BOUNDED = {"between_events": 4.0}
WRONG_KEY = ("authorization", "Bearer sk-other")


@pytest.fixture(scope="module", params=GUESTS, ids=lambda guest: guest.kind.id)
def one_guest(request: pytest.FixtureRequest, serve_guest: Serve) -> Iterator[Served]:
    with serve_guest(request.param) as served:
        yield served


@pytest.fixture
def served(request: pytest.FixtureRequest, one_guest: Served, upstream: Upstream) -> Iterator[Served]:
    """A guest; nothing that a client does may make it log a traceback, or leave money held."""
    expect_failure(request, one_guest.guest)
    before = len(one_guest.server.process.output())
    yield one_guest
    upstream.settle()
    wait_until(one_guest.is_settled)
    output = one_guest.server.process.output()[before:]
    assert "Traceback" not in output, output


@pytest.fixture(params=GUESTS, ids=lambda guest: guest.kind.id)
def guest(request: pytest.FixtureRequest) -> Guest:
    """A guest that the test starts."""
    guest: Guest = request.param
    expect_failure(request, guest)
    return guest


def expect_failure(request: pytest.FixtureRequest, guest: Guest) -> None:
    if reason := guest.cannot.get(request.function.__name__.removeprefix("test_")):
        request.applymarker(pytest.mark.xfail(reason=reason))


def note_refusal(answer: Answer, method: str = "POST") -> None:
    REFUSALS.append(Refusal(method, answer.status, dict(answer.head.headers), answer.body))


def code_of(answer: Answer) -> str:
    return str(json.loads(answer.body)["error"]["code"])


def stays(answer: Answer) -> bool:
    """Return whether the connection of an answer is kept."""
    return answer.head.header("connection") != "close"


def test_whole_answer(served: Served) -> None:
    with RawClient(served.port, timeout=PATIENCE) as client:
        answer = client.exchange(chat(text=WORDS))
    assert content_of(answer) == WORDS
    assert answer.head.header("content-length") == str(len(answer.body))


def test_pages_of_the_host(served: Served) -> None:
    assert get(served.port, "/page").endswith("GET /page")


def test_each_event_as_it_comes(served: Served, upstream: Upstream) -> None:
    blocks = []
    with StreamClient(served.port, timeout=PATIENCE) as client:
        client.ask("stepwise", WORDS)
        upstream.step()
        client.start()
        while (block := client.next_block()) is not None:
            blocks.append(block)
            if not block.is_keep_alive:
                upstream.step()
    events = [block for block in blocks if not block.is_keep_alive]
    assert text_of([block.text.removeprefix("data: ") for block in events]) == WORDS
    # Each event that is held back waits for signs of life to push it out.
    assert len(blocks) - len(events) < len(events)


def test_refusals(served: Served) -> None:
    """Of a wrong key and of a body that is no JSON; the connection serves the next request, or is closed."""
    for data, status in ((request(PATH, body(), WRONG_KEY), 401), (request(PATH, b"{", AUTHORIZATION), 400)):
        with RawClient(served.port, timeout=PATIENCE) as client:
            answer = client.exchange(data)
            assert answer.status == status
            note_refusal(answer)
            if stays(answer):
                assert content_of(client.exchange(chat())) == "hello"
            else:
                assert client.at_end()


def test_wrong_key_with_a_large_body(served: Served) -> None:
    with RawClient(served.port, timeout=PATIENCE) as client:
        answer = client.exchange(request(PATH, b" " * 20_000, WRONG_KEY))
        assert answer.status == 401
        if stays(answer):
            assert content_of(client.exchange(chat())) == "hello"


def test_verbs(served: Served) -> None:
    """HEAD is refused without a body, OPTIONS is for the host."""
    with RawClient(served.port, timeout=PATIENCE) as client:
        assert client.exchange(head("content-length: 0", method="OPTIONS")).status < 500
    with RawClient(served.port, timeout=PATIENCE) as client:
        client.send(head("content-length: 0", method="HEAD"))
        first = client.read_head()
        assert (first.status, first.header("allow")) == (405, "POST")
        if first.header("connection") != "close":
            assert content_of(client.exchange(chat())) == "hello"


def test_chunked_body(served: Served) -> None:
    with RawClient(served.port, timeout=PATIENCE) as client:
        answer = client.exchange(head("transfer-encoding: chunked") + chunked(body()[:9], body()[9:]))
    assert content_of(answer) == "hello"


def test_chunked_body_is_read_or_refused(served: Served) -> None:
    with RawClient(served.port, timeout=PATIENCE) as client:
        answer = client.exchange(head("transfer-encoding: chunked") + chunked(body()[:9], body()[9:]))
    assert answer.status in (200, 400, 411, 501)


def test_pipelined_requests(served: Served) -> None:
    with RawClient(served.port, timeout=PATIENCE) as client:
        first = client.exchange(chat(text="one") + chat(text="two"))
        assert content_of(first) == "one"
        if stays(first):
            assert content_of(client.read_answer()) == "two"


def test_leaving_while_tokens_flow(served: Served, upstream: Upstream) -> None:
    with StreamClient(served.port, timeout=PATIENCE) as client:
        client.ask("endless")
        client.start()
        client.next_event()
        client.close()
        upstream.wait_closed(NOTICE)


def test_leaving_while_the_upstream_is_silent(served: Served, upstream: Upstream) -> None:
    with StreamClient(served.port, timeout=PATIENCE) as client:
        client.ask("stall-2")
        client.start()
        client.next_event()
        client.close()
        upstream.wait_closed(NOTICE)


def test_leaving_before_the_first_byte(served: Served, upstream: Upstream) -> None:
    with RawClient(served.port, timeout=PATIENCE) as client:
        client.send(chat("ttfb"))
        upstream.wait_for(lambda: upstream.active_requests == 1)
        client.close()
        upstream.wait_closed(NOTICE)


def test_reading_nothing(served: Served, upstream: Upstream) -> None:
    with StreamClient(served.port, receive_buffer=4096, timeout=PATIENCE) as client:
        client.ask("gush")
        client.start()
        assert client.next_event() is not None
        upstream.wait_closed(NOTICE)
        wait_until(served.is_settled, PATIENCE)
        with RawClient(served.port, timeout=PATIENCE) as other:
            assert content_of(other.exchange(chat())) == "hello"


def test_stop_in_the_middle_of_a_stream(guest: Guest, serve_guest: Serve, upstream: Upstream) -> None:
    """The stream goes on to its end, ends by an error, or breaks off; the server ends with it."""
    with serve_guest(guest, timeouts=BOUNDED) as served, StreamClient(served.port, timeout=PATIENCE) as client:
        client.ask("stall-2")
        client.start()
        assert client.next_event() is not None
        served.server.process.signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionError):
            *_, last = client.rest_of_events()
            assert json.loads(last)["error"]["code"] in ("server_shutdown", "upstream_timeout")
        served.server.process.wait(PATIENCE)
