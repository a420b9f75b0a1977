"""A connection that is used again gives nobody what belongs to another, and costs nobody an answer (docs/promises.md, The promises)."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.faults.conftest import AsyncClient, BlockingClient, Client, every_transport, request, settings_for
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext

FOREIGN = "an answer to nobody"
STALE = ("fin", "rst")


def whole(content: str, *, surplus: bytes = b"") -> bytes:
    """Return an answer of one model with `content`, and what the upstream sends behind it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "ok", "choices": [choice], "usage": usage}
    return http(json.dumps(body).encode()) + surplus


def http(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def second(x: RequestContext) -> None:
    """Send a second answer right behind the first."""
    await x.send(whole("mine", surplus=whole(FOREIGN)))


async def garbage(x: RequestContext) -> None:
    await x.send(whole("mine", surplus=b"surplus"))


async def empty_line(x: RequestContext) -> None:
    await x.send(whole("mine", surplus=b"\r\n"))


async def late(x: RequestContext) -> None:
    """Send a second answer when nobody has asked for it."""
    await x.send(whole("mine"))
    await x.released()
    await x.send(whole(FOREIGN))


async def stale(x: RequestContext) -> None:
    """Answer the first request; close the connection on the second, as a server does whose patience ends just then."""
    if x.attempt != 1:
        return await x.send(whole("mine"))
    return x.reset() if x.request.model == "rst" else x.cut()


async def begun(x: RequestContext) -> None:
    """Answer the first request; close the connection in the middle of the second answer's head."""
    if x.attempt != 1:
        return await x.send(whole("mine"))
    await x.send(b"HTTP/1.1 200 OK\r\n")
    return x.cut()


async def together(x: RequestContext) -> None:
    """Answer the first two requests when both are there, and close the connection of the third."""
    if x.attempt < 2:
        await both.wait()
    if x.attempt == 2:
        return x.cut()
    return await x.send(whole("mine"))


both = asyncio.Barrier(2)
SCENARIOS = {
    "second": second,
    "garbage": garbage,
    "empty-line": empty_line,
    "late": late,
    "fin": stale,
    "rst": stale,
    "begun": begun,
    "together": together,
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream(SCENARIOS) as server:
        yield server


@pytest.fixture(params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def client(request: pytest.FixtureRequest, upstream: MockUpstream, transport: str) -> Iterator[Client]:
    models = {name: {"targets": [f"up/{name}"]} for name in (*SCENARIOS, "ok", "cut")}
    made = request.param(settings_for(upstream, models=models, connections={"max": 1}, transport=transport))
    yield made
    made.close()


@every_transport
@pytest.mark.parametrize("model", ["second", "garbage", "empty-line"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_what_follows_an_answer_reaches_nobody(client: Client, model: str, stream: bool) -> None:
    assert client.post(model).text == "mine"
    answer = client.post("ok", stream=stream)
    assert FOREIGN.encode() not in answer.body
    assert (answer.status, answer.text) == (200, client.post("ok").text)


@every_transport
def test_what_comes_before_a_request_reaches_nobody(client: Client, upstream: MockUpstream) -> None:
    assert client.post("late").text == "mine"
    upstream.release()
    upstream.wait_for(lambda: upstream.active_requests == 0)
    answer = client.post("ok")
    assert answer.status == 200
    assert FOREIGN.encode() not in answer.body


@pytest.mark.parametrize("model", STALE)
def test_a_kept_connection_that_the_upstream_closes_costs_nobody_an_answer(client: Client, upstream: MockUpstream, model: str) -> None:
    assert [client.post(model).text, client.post(model).text] == ["mine", "mine"]
    assert len(upstream.requests) == 3


def test_a_request_is_repeated_once_and_on_a_new_connection(upstream: MockUpstream) -> None:
    """Two connections are kept, and the upstream gives up both."""
    client = AsyncClient(settings_for(upstream, models={"together": {"targets": ["up/together"]}}))

    async def two() -> list[int]:
        return [answer.status for answer in await asyncio.gather(client.asend(request("together")), client.asend(request("together")))]

    assert client.runner.run(two()) == [200, 200]
    assert client.post("together").status == 200
    assert len(upstream.requests) == 4
    client.close()


@every_transport
def test_a_request_is_not_sent_again_once_its_answer_has_begun(client: Client, upstream: MockUpstream) -> None:
    assert client.post("begun").status == 200
    answer = client.post("begun")
    assert (answer.status, len(upstream.requests)) == (502, 2)


@every_transport
def test_a_fresh_connection_that_the_upstream_closes_is_not_tried_again(client: Client, upstream: MockUpstream) -> None:
    answer = client.post("fin")
    assert answer.status == 200
    upstream.reset()
    first = client.post("cut")
    assert (first.status, len(upstream.requests)) == (502, 1)
