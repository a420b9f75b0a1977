"""Keep-alives in silent streams, for every client and while upstreams say nothing of the answer (docs/contract.md, Streams)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from completions_mw import AsyncGateway, Gateway
from completions_mw.core.streaming.body import StreamBody
from tests.faults.conftest import request, settings_for
from tests.support import upstream_answers as answers
from tests.support.grammar import KEEP_ALIVE, check_stream, is_keep_alive
from tests.support.strict_sse import read_strictly
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext

KEEP_ALIVES = 10


async def silence(x: RequestContext) -> None:
    await _interrupted(x, b"")


async def comments(x: RequestContext) -> None:
    """As of OpenRouter, while a model waits for its turn."""
    await _interrupted(x, b": OPENROUTER PROCESSING\n\n")


async def trickle(x: RequestContext) -> None:
    """One event that arrives byte by byte."""
    await _interrupted(x, b": ", b"x", b"\n\n")


async def heartbeats(x: RequestContext) -> None:
    """Chunks in which there is nothing for a client."""
    await _interrupted(x, b'data: {"choices": []}\n\n')


async def after_the_end(x: RequestContext) -> None:
    """Everything is said, but for the usage."""
    await _interrupted(x, b"", at=-2)


async def _interrupted(x: RequestContext, noise: bytes, more: bytes = b"", end: bytes = b"", *, at: int = 2) -> None:
    """Stop in the middle of an answer, and make some noise, until the test lets it go on."""
    pieces = answers.events(answers.chunks(x.body))
    await x.start()
    await x.pieces(pieces[:at])
    released = asyncio.ensure_future(x.released())
    if noise:
        await x.piece(noise)
    while not released.done():
        await asyncio.wait([released], timeout=0.02)
        if noise and not released.done():
            await x.piece(more or noise)
    if end:
        await x.piece(end)
    await x.pieces(pieces[at:])
    await x.end()


SCENARIOS = {
    "silence": silence,
    "comments": comments,
    "trickle": trickle,
    "heartbeats": heartbeats,
    "after-the-end": after_the_end,
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream(SCENARIOS) as server:
        yield server


def in_threads(upstream: MockUpstream, model: str, **settings: Any) -> bytes:
    with Gateway(settings_of(upstream, **settings)) as gateway:
        response = gateway.handle(request(model, stream=True, stream_options={"include_usage": True}))
        assert not isinstance(response.body, bytes)
        with response.body as body:
            return b"".join(_until_it_goes_on(body, upstream))


def on_a_loop(upstream: MockUpstream, model: str, **settings: Any) -> bytes:
    async def pieces(body: StreamBody) -> AsyncIterator[bytes]:
        while not body.is_done:
            yield await body.__anext__()

    async def main() -> bytes:
        async with AsyncGateway(settings_of(upstream, **settings)) as gateway:
            response = await gateway.handle(request(model, stream=True, stream_options={"include_usage": True}))
            assert isinstance(response.body, StreamBody)
            seen: list[bytes] = []
            async for piece in pieces(response.body):
                seen.append(piece)
                _note(seen, upstream)
            await response.body.aclose()
            return b"".join(seen)

    return asyncio.run(main())


def settings_of(upstream: MockUpstream, **more: Any) -> Any:
    return settings_for(upstream, {}, models={name: {"targets": [f"up/{name}"]} for name in SCENARIOS}, keep_alive=0.05, **more)


def _until_it_goes_on(pieces: Iterator[bytes], upstream: MockUpstream) -> Iterator[bytes]:
    seen: list[bytes] = []
    for piece in pieces:
        seen.append(piece)
        _note(seen, upstream)
        yield piece


def _note(seen: list[bytes], upstream: MockUpstream) -> None:
    """Let the upstream go on after `KEEP_ALIVES` keep-alives."""
    if sum(map(is_keep_alive, seen)) == KEEP_ALIVES:
        upstream.release()


Read = Callable[..., bytes]
both = pytest.mark.parametrize("read", [in_threads, on_a_loop])


@both
@pytest.mark.parametrize("model", SCENARIOS)
def test_a_strict_client_reads_a_stream_with_ten_keep_alives(upstream: MockUpstream, model: str, read: Read) -> None:
    raw = read(upstream, model)
    assert check_stream(raw, include_usage=True).texts == {0: "one two three"}
    assert sum(is_keep_alive(block) for block in raw.split(b"\n\n")) >= KEEP_ALIVES
    chunks = read_strictly(raw)
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks} == {("chatcmpl-upstream", chunks[0]["created"], model)}


@both
def test_comments_where_they_are_asked_for(upstream: MockUpstream, read: Read) -> None:
    raw = read(upstream, "comments", keep_alive_form="comment")
    assert raw.count(KEEP_ALIVE + b"\n\n") >= KEEP_ALIVES
    with pytest.raises(ValueError, match="Expecting value"):
        read_strictly(raw)
