"""Faults in the framing and the head of requests, on every server (docs/contract.md, Requests)."""

import select

import pytest
from _pytest.mark import ParameterSet

from tests.servers.apps import BODY_TIMEOUT
from tests.servers.client import PROBE, chat, converse, final_answer
from tests.servers.conftest import Running, Upstream
from tests.servers.framing import BODY, ROWS, Row, head, whole
from tests.servers.kinds import CHEROOT, KINDS, WERKZEUG, Kind, every
from tests.support.envelope import REFUSALS, Refusal
from tests.support.rawhttp import Answer, RawClient

FORGETS_LENGTH = "takes the body as chunked, drops the length and says nothing of it"
SERVERS_DO_SO = {
    ("waitress", "length and chunked"): f"{FORGETS_LENGTH}; the connection stays open",
    ("waitress", "length beyond a chunked body"): f"{FORGETS_LENGTH}; the connection stays open",
    ("granian", "length and chunked"): f"{FORGETS_LENGTH}; it closes afterwards, as RFC 9112 section 6.3 allows",
    ("granian", "chunked and length"): "tells the app that the client left, and sends its answer to it",
    ("waitress", "path //api/v1/chat/completions"): "makes one slash of two before the app sees the path",
}
"""What no app behind them can see or change."""


def cases() -> list[ParameterSet]:
    """Return each row for each server; where a server waits for the body, the rows that send none are nothing to the app."""
    pairs = [(kind, row) for row in ROWS for kind in KINDS if kind.streams_body or not row.silent]
    return [pytest.param(kind, row, marks=marks(kind, row), id=f"{kind.id}-{row.id}") for kind, row in pairs]


def marks(kind: Kind, row: Row) -> list[pytest.MarkDecorator]:
    reason = SERVERS_DO_SO.get((kind.id, row.id))
    return [] if reason is None else [pytest.mark.xfail(reason=reason)]


def note_refusals(answers: list[Answer], method: str = "POST") -> None:
    """Let our own refusals be checked at the end of the test; a server's own have no form to check."""
    for answer in answers:
        if answer.status >= 300 and answer.head.header("x-request-id"):
            REFUSALS.append(Refusal(method, answer.status, dict(answer.head.headers), answer.body))


def from_host(answer: Answer) -> bool:
    return answer.body.startswith(b"host ")


@pytest.mark.parametrize(("server", "row"), cases(), indirect=["server"])
def test_fault(server: Running, upstream: Upstream, row: Row) -> None:
    if row.silent:
        with RawClient(server.port) as client:
            client.send(row.data)
            answers = [final_answer(client)]
    else:
        answers = converse(server.port, row.data)
    note_refusals(answers)
    first, *others = answers
    assert first.status in row.statuses
    assert [from_host(answer) and answer.body.endswith(b" GET /probe") for answer in others] in ([], [True])
    assert len(upstream.requests) == (first.status == 200 and not from_host(first))
    if row.id.startswith("path "):
        assert upstream.requests == []


@every()
def test_body_that_ends_early_calls_nobody(server: Running, upstream: Upstream) -> None:
    """See docs/promises.md, Bounds."""
    note_refusals(converse(server.port, head(f"content-length: {len(BODY) + 1}") + BODY, more=False))
    assert upstream.requests == []
    assert len(converse(server.port, chat())) in (1, 2)
    assert len(upstream.requests) == 1


@every(where=lambda kind: kind.interface == "asgi")
@pytest.mark.parametrize("drip", [b" ", b""], ids=["a byte at a time", "nothing at all"])
def test_slow_body_is_given_up(server: Running, upstream: Upstream, drip: bytes) -> None:
    """See docs/promises.md, Bounds. A blocking server gives its thread to the client for as long as its own timeout says."""
    with RawClient(server.port) as client:
        client.send(head("content-length: 100000"))
        while not select.select([client.socket], [], [], BODY_TIMEOUT / 10)[0]:
            client.send(drip)
        answer = client.read_answer()
        assert client.at_end()
    note_refusals([answer])
    assert (answer.status, answer.head.header("connection")) == (408, "close")
    assert upstream.requests == []


@every((*KINDS, CHEROOT, WERKZEUG))
def test_answer_to_head_has_no_body(server: Running, upstream: Upstream) -> None:
    """What a HEAD is answered beyond its headers would be the start of the next answer (docs/contract.md, Errors)."""
    with RawClient(server.port) as client:
        client.send(head("content-length: 0", method="HEAD"))
        first = client.read_head()
        assert (first.status, first.header("allow")) == (405, "POST")
        if first.header("connection") == "close":
            client.half_close()
            assert client.at_end()
        else:
            assert from_host(client.exchange(PROBE))


@every((CHEROOT, WERKZEUG))
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head(f"content-length: +{len(BODY)}") + BODY, 400),
        (head(f"content-length: {len(BODY) // 10}_{len(BODY) % 10}") + BODY, 400),
        (head(f"content-length: {len(BODY)}", "transfer-encoding: chunked") + BODY, 400),
        (whole(authorization="Bearer sk-\0"), 401),
    ],
    ids=["plus", "underscore", "length and chunked", "NUL in the key"],
)
def test_what_only_lenient_servers_let_through(server: Running, upstream: Upstream, data: bytes, status: int) -> None:
    with RawClient(server.port) as client:
        answer = client.exchange(data)
    note_refusals([answer])
    assert answer.status == status
    assert upstream.requests == []
