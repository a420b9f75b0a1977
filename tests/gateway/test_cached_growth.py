"""A cache whose memory is full grows no further, however many answers come and go (docs/caching.md, Sizing)."""

import asyncio
import json
import multiprocessing
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import pytest

from completions_mw import AsyncGateway, Gateway, Request, Response, Settings
from tests.servers.growth import MOST_BYTES, Sample, bytes_per_request

pytestmark = pytest.mark.soak

REQUESTS, EVERY = 200_000, 2000
KEY = "sk-cached-0123456789"
HEADERS = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"))
TREE: dict[str, Any] = {
    "providers": {"local": {"api": "echo"}},
    "models": {"m": {"targets": ["local/echo"]}},
    "keys": {"a": {"secret": KEY}},
    "cache": {"enabled": True, "when": "always", "memory_bytes": 4 * 1024 * 1024},
}


def asked(number: int) -> Request:
    """Return a request; every other one is the same as the one before."""
    text = f"{number // 2} " + "word " * (number // 2 % 40)
    fields = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": number % 4 > 1}
    return Request("POST", "/api/v1/chat/completions", HEADERS, json.dumps(fields).encode())


async def ask(handle: Callable[[Request], Awaitable[Response[Any]]]) -> list[Sample]:
    process, samples, hits = psutil.Process(), [], 0
    for number in range(REQUESTS):
        response = await handle(asked(number))
        if not isinstance(response.body, bytes):
            while not response.body.is_done:
                await response.body.__anext__()
            await response.body.aclose()
        hits += dict(response.headers)["x-cache"] == "hit"
        if number % EVERY == 0:
            samples.append(Sample(number, process.memory_info().rss, process.num_fds(), process.num_threads()))
    assert hits == REQUESTS // 2
    return samples


async def on_a_loop() -> list[Sample]:
    async with AsyncGateway(Settings.from_mapping(TREE)) as gateway:
        return await ask(gateway.handle)


def run_on_a_loop() -> list[Sample]:
    return asyncio.run(on_a_loop())


def run_in_a_thread() -> list[Sample]:
    process, samples, hits = psutil.Process(), [], 0
    with Gateway(Settings.from_mapping(TREE)) as gateway:
        for number in range(REQUESTS):
            response = gateway.handle(asked(number))
            if not isinstance(response.body, bytes):
                with response.body as body:
                    list(body)
            hits += dict(response.headers)["x-cache"] == "hit"
            if number % EVERY == 0:
                samples.append(Sample(number, process.memory_info().rss, process.num_fds(), process.num_threads()))
    assert hits == REQUESTS // 2
    return samples


@pytest.mark.parametrize("run", [run_in_a_thread, run_on_a_loop])
def test_half_of_many_requests_are_hits(run: Callable[[], list[Sample]]) -> None:
    # In a process of its own, whose memory is nobody else's.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        samples = pool.apply(run)
    slope = bytes_per_request(samples)
    print(f"{slope:.1f} bytes a request")
    assert slope <= MOST_BYTES
