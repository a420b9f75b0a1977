"""A cache whose memory is full grows no further, however many answers come and go (docs/caching.md, Sizing)."""

import json
import multiprocessing
from typing import Any

import psutil
import pytest

from completions_mw import Request, Settings
from tests.faults.conftest import AsyncClient, BlockingClient
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


def ask(kind: type[BlockingClient | AsyncClient]) -> list[Sample]:
    """Ask so many times; return what the process had meanwhile."""
    process, samples, hits = psutil.Process(), [], 0
    client = kind(Settings.from_mapping(TREE))
    for number in range(REQUESTS):
        hits += client.send(asked(number)).headers["x-cache"] == "hit"
        if number % EVERY == 0:
            samples.append(Sample(number, process.memory_info().rss, process.num_fds(), process.num_threads()))
    client.close()
    assert hits == REQUESTS // 2
    return samples


@pytest.mark.parametrize("kind", [BlockingClient, AsyncClient])
def test_half_of_many_requests_are_hits(kind: type[BlockingClient | AsyncClient]) -> None:
    # In a process of its own, whose memory is nobody else's.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        samples = pool.apply(ask, (kind,))
    slope = bytes_per_request(samples)
    print(f"{slope:.1f} bytes a request")
    assert slope <= MOST_BYTES
