"""Tokens of upstreams that a function of the host app gives, through both gateways."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from completions_mw import AsyncGateway, Gateway, Settings
from completions_mw.errors import ConfigurationError
from completions_mw.http import UpstreamRequest
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.support.canned import CannedTransport, Reply, whole
from tests.support.logs import line

SETTINGS: dict[str, Any] = {
    "providers": {"entra": {"api": "openai", "base_url": "https://up.test/v1"}, "local": {"api": "echo"}},
    "models": {"m": {"targets": ["entra/m"]}, "rescued": {"targets": ["entra/m", "local/m"]}},
    "keys": {"client": {"secret": KEY}},
}
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi!"}, "finish_reason": "stop"}]}
every_client = pytest.mark.parametrize("client", [BlockingClient, AsyncClient])
Client = Callable[..., BlockingClient | AsyncClient]


def answering(request: UpstreamRequest) -> Reply:
    return whole(ANSWER)


def quoting(request: UpstreamRequest) -> Reply:
    """Refuse a request, and quote its headers."""
    return whole({"error": {"message": f"I do not like {dict(request.headers)}"}}, status=400)


@every_client
def test_each_request_has_the_token_of_its_moment(client: Client) -> None:
    tokens = iter(["first", "second"])
    transport = CannedTransport(answering)
    made = client(Settings(**SETTINGS), credentials={"entra": lambda: next(tokens)}, transport=transport)
    assert [made.post("m").status, made.post("m", stream=True).status] == [200, 502]
    assert [dict(request.headers)["authorization"] for request in transport.requests] == ["Bearer first", "Bearer second"]
    made.close()


def test_an_async_gateway_calls_a_sync_function_in_a_thread() -> None:
    threads: list[int] = []

    def token() -> str:
        threads.append(threading.get_ident())
        return "token"

    made = AsyncClient(Settings(**SETTINGS), credentials={"entra": token}, transport=CannedTransport(answering))
    assert made.post("m").status == 200
    assert threads != [threading.get_ident()]
    made.close()


def test_an_async_gateway_awaits_an_async_function() -> None:
    async def token(text: str) -> str:
        return text

    transport = CannedTransport(answering)
    made = AsyncClient(Settings(**SETTINGS), credentials={"entra": partial(token, "awaited")}, transport=transport)
    assert made.post("m").status == 200
    assert dict(transport.requests[0].headers)["authorization"] == "Bearer awaited"
    made.close()


@every_client
@pytest.mark.parametrize("token", ["", "two words", "line\r\nx-forged: 1", None, b"bytes"])
def test_what_is_no_token_is_not_sent(client: Client, token: Any, caplog: pytest.LogCaptureFixture) -> None:
    transport = CannedTransport(answering)
    made = client(Settings(**SETTINGS), credentials={"entra": lambda: token}, transport=transport)
    with caplog.at_level(logging.ERROR, "completions_mw"):
        answer = made.post("m")
        assert (answer.status, answer.error["code"]) == (503, "upstream_credentials_error")
        assert made.post("rescued").text == "one two three"
    assert not transport.requests
    logged = line(caplog.records[0])
    assert (logged["event"], logged["error"], logged["provider"]) == ("credentials_failed", "TypeError", "entra")
    made.close()


@every_client
def test_a_token_is_in_no_error(client: Client) -> None:
    made = client(Settings(**SETTINGS), credentials={"entra": lambda: "canary-token"}, transport=CannedTransport(quoting))
    answer = made.post("m")
    assert answer.status == 400
    assert "I do not like" in answer.error["message"]
    assert b"canary" not in answer.body
    made.close()


def test_the_token_of_a_request_under_way_is_in_no_error() -> None:
    tokens = (f"canary-{number}-token" for number in range(100))

    def slow(request: UpstreamRequest) -> Reply:
        if len(transport.requests) == 1:
            for _ in range(20):
                made.post("m")
        return quoting(request)

    transport = CannedTransport(slow)
    made = BlockingClient(Settings(**SETTINGS), credentials={"entra": lambda: next(tokens)}, transport=transport)
    answer = made.post("m")
    assert (answer.status, len(transport.requests)) == (400, 21)
    assert b"canary" not in answer.body
    made.close()


async def asynchronous() -> str:
    return ""


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({"entre": str}, "credentials: `entre` is not a provider; did you mean `entra`?"),
        ({"local": str}, "credentials.local: the provider needs none"),
        ({"keyed": str}, "credentials.keyed: the provider has an `api_key` already"),
        ({"entra": "token"}, "credentials.entra: should be a function, not str"),
        ({"entra": lambda scope: scope}, "should take no argument"),
        ({"entra": asynchronous}, "credentials.entra: an async function needs an AsyncGateway"),
    ],
)
def test_credentials_that_cannot_work_are_refused(credentials: Any, words: str) -> None:
    keyed = {"api": "openai", "base_url": "https://up.test/v1", "api_key": "sk-1"}
    settings = Settings(**{**SETTINGS, "providers": {**SETTINGS["providers"], "keyed": keyed}})
    with pytest.raises(ConfigurationError, match=words.replace("?", r"\?")):
        Gateway(settings, credentials=credentials)


def test_an_async_gateway_takes_async_functions() -> None:
    AsyncGateway(Settings(**SETTINGS), credentials={"entra": asynchronous})
