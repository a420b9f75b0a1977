"""A forked child has connections of its own, and its parent keeps its own (docs/promises.md, Processes, forks and clocks)."""

import asyncio
import gc
from typing import Any

from completions_mw import AsyncGateway, Gateway
from completions_mw.schemas import ChatCompletionChunk
from tests.faults.conftest import settings_for
from tests.support.forked import Child
from tests.support.upstream import MockUpstream

REQUESTS = 5


def asking(model: str, text: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_threads(upstream: MockUpstream) -> None:
    gateway = Gateway(settings_for(upstream, {"between_events": 20.0}))

    def answer(text: str) -> str | None:
        return gateway.complete(**asking("ok", text)).choices[0].message.content

    def work() -> list[str | None]:
        answers = [answer(f"child {number}") for number in range(REQUESTS)]
        # The end of the child, closing what it may, must not reach the connections of the parent.
        gateway.close()
        gc.collect()
        return answers

    assert Child(work).result() == [f"child {number}" for number in range(REQUESTS)], "before the first use"
    with gateway.stream(**asking("stall-3", "begun before")) as stream:
        chunks = [next(stream)]
        assert answer("for an idle connection") == "for an idle connection"
        before = upstream.connections
        child = Child(work)
        assert [answer(f"parent {number}") for number in range(REQUESTS)] == [f"parent {number}" for number in range(REQUESTS)]
        assert child.result() == [f"child {number}" for number in range(REQUESTS)]
        upstream.release()
        chunks += stream
    assert text_of(chunks) == "begun before"
    assert answer("after the child") == "after the child"
    assert upstream.connections == before + 1
    gateway.close()


def test_event_loops(upstream: MockUpstream) -> None:
    """The child has an event loop of its own: its parent's is not to be run there."""
    gateway = AsyncGateway(settings_for(upstream, {"between_events": 20.0}))

    async def answer(text: str) -> str | None:
        return (await gateway.complete(**asking("ok", text))).choices[0].message.content

    async def answers(name: str) -> list[str | None]:
        return [await answer(f"{name} {number}") for number in range(REQUESTS)]

    def work() -> list[str | None]:
        async def scenario() -> list[str | None]:
            found = await answers("child")
            await gateway.close()
            gc.collect()
            return found

        return asyncio.run(scenario())

    async def parent() -> None:
        assert Child(work).result() == [f"child {number}" for number in range(REQUESTS)], "before the first use"
        async with gateway.stream(**asking("stall-3", "begun before")) as stream:
            chunks = [await anext(stream)]
            assert await answer("for an idle connection") == "for an idle connection"
            before = upstream.connections
            child = Child(work)
            assert await answers("parent") == [f"parent {number}" for number in range(REQUESTS)]
            assert child.result() == [f"child {number}" for number in range(REQUESTS)]
            upstream.release()
            chunks += [chunk async for chunk in stream]
        assert text_of(chunks) == "begun before"
        assert await answer("after the child") == "after the child"
        assert upstream.connections == before + 1
        await gateway.close()

    asyncio.run(parent())
