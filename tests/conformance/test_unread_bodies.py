"""An answer without the body of its request leaves nothing of that body on the connection (docs/promises.md, Hosts and servers)."""

import json
from collections.abc import Sequence

import pytest

from completions_mw.core.validation.body import DISCARD_BYTES
from tests.conformance.given import JSON, KEY, MAX_BODY, chat_body
from tests.hosts.base import CHAT, MODELS, Host, bearer
from tests.hosts.every import only_async
from tests.support.exchange import HeaderPairs

BODY = json.dumps(chat_body()).encode().ljust(MAX_BODY // 2)
TOO_LARGE = BODY.ljust(MAX_BODY + 1)
PIECES = [BODY[:1000], BODY[1000:]]

ANSWERS: dict[str, tuple[str, str, HeaderPairs, int]] = {
    "no key": ("POST", CHAT, JSON, 401),
    "wrong key": ("POST", CHAT, (*bearer("sk-other"), *JSON), 401),
    "wrong type": ("POST", CHAT, (*bearer(KEY), ("content-type", "text/plain")), 415),
    "wrong verb": ("PUT", CHAT, bearer(KEY), 405),
    "headers too large": ("POST", CHAT, (*bearer(KEY), ("x-large", "x" * 40_000)), 431),
    "models": ("GET", MODELS, bearer(KEY), 200),
}


@pytest.mark.parametrize("body", [BODY, PIECES], ids=["length", "chunked"])
@pytest.mark.parametrize(("verb", "path", "headers", "status"), ANSWERS.values(), ids=ANSWERS)
def test_the_body_is_dropped(host: Host, verb: str, path: str, headers: HeaderPairs, status: int, body: bytes | Sequence[bytes]) -> None:
    response = host.request(verb, path, headers, body)
    assert (response.status, response.taken) == (status, len(BODY))
    assert "connection" not in response.headers


@pytest.mark.parametrize("body", [TOO_LARGE, [TOO_LARGE, b" "]], ids=["length", "chunked"])
def test_a_body_that_is_too_large_is_dropped(host: Host, body: bytes | Sequence[bytes]) -> None:
    response = host.request("POST", CHAT, (*bearer(KEY), *JSON), body)
    assert (response.status, response.taken) == (413, len(b"".join(body) if isinstance(body, list) else body))
    assert "connection" not in response.headers


def test_a_body_without_an_end_is_given_up(host: Host) -> None:
    piece = b" " * (DISCARD_BYTES // 8)
    response = host.request("POST", CHAT, JSON, [piece] * 24)
    assert response.status == 401
    assert response.taken <= DISCARD_BYTES + len(piece) or host.reads_ahead


@only_async
def test_a_body_that_does_not_come_closes_the_connection(host: Host) -> None:
    if host.reads_ahead:
        pytest.skip("the host waits for the body itself")
    with host.stream("POST", CHAT, JSON, [b"{"], complete=False) as answer:
        assert (answer.status, answer.headers["connection"]) == (401, "close")


@only_async
def test_a_client_that_waits_to_be_asked_for_its_body_is_not_asked(host: Host) -> None:
    if host.reads_ahead:
        pytest.skip("the host reads the body itself")
    headers = (*JSON, ("content-length", str(len(BODY))), ("expect", "100-continue"))
    response = host.request("POST", CHAT, headers, BODY)
    assert (response.status, response.headers["connection"], response.taken) == (401, "close", 0)


@only_async
def test_a_body_of_any_size_is_not_waited_for(host: Host) -> None:
    if host.reads_ahead:
        pytest.skip("the host reads the body itself")
    response = host.request("POST", CHAT, (*JSON, ("content-length", "999999999")), BODY)
    assert (response.status, response.headers["connection"], response.taken) == (401, "close", 0)
