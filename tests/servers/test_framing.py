"""Faults in the framing and the head of requests, on every server (FAULTS section A)."""

import contextlib
import json
from collections.abc import Iterator

import pytest

from tests.servers.apps import KEY, MAX_BODY
from tests.servers.client import PATH, PROBE, body, converse
from tests.servers.conftest import Running, Upstream
from tests.servers.framing import BODY, ROWS, Row, head
from tests.servers.kinds import CHEROOT, KINDS, WERKZEUG, Kind, every
from tests.support.envelope import REFUSALS, Refusal
from tests.support.rawhttp import Answer, RawClient

FORGETS_LENGTH = "takes the body as chunked, drops the length and says nothing of it"
SERVERS_DO_SO = {
    ("waitress", "FC-04 length and chunked"): f"{FORGETS_LENGTH}; the connection stays open",
    ("waitress", "FC-04 length beyond a chunked body"): f"{FORGETS_LENGTH}; the connection stays open",
    ("granian", "FC-04 length and chunked"): f"{FORGETS_LENGTH}; it closes afterwards, as RFC 9112 section 6.3 allows",
    ("granian", "FC-04 chunked and length"): "tells the app that the client left, and sends its answer to it",
    ("waitress", "FC-18 //api/v1/chat/completions"): "makes one slash of two before the app sees the path",
    ("waitress", "FC-01 too long by its length"): "reads the whole body before it calls the app",
    ("waitress", "FC-20 expect, bad key"): "reads the whole body before it calls the app",
}
"""What no app behind them can see or change."""


def cases() -> Iterator[object]:
    """Yield each row for each server."""
    for row in ROWS:
        for kind in KINDS:
            reason = SERVERS_DO_SO.get((kind.id, row.id))
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason)]
            yield pytest.param(kind, row, marks=marks, id=f"{kind.id}-{row.id}")


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
        with RawClient(server.port, timeout=5) as client:
            answers = [client.exchange(row.data)]
    else:
        answers = converse(server.port, row.data)
    note_refusals(answers)
    first, *others = answers
    assert first.status in row.statuses
    assert [from_host(answer) and answer.body.endswith(b" GET /probe") for answer in others] in ([], [True])
    assert len(upstream.requests) == (first.status == 200 and not from_host(first))
    if row.id.startswith("FC-18"):
        assert upstream.requests == []
