"""Cached answers in memory stay within their bytes, as the operating system counts them (docs/caching.md, Sizing)."""

import multiprocessing
import os
import random
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.memory.responses import MemoryResponses
from completions_mw.blocking import run_sync
from completions_mw.core.ports import CacheKey, StoredAnswer

MIB = 1024 * 1024


def fill(max_bytes: int, entries: int, size: int, threads: int) -> tuple[int, int]:
    """Put entries of random sizes into a store, and read others meanwhile; return what it counts, and how much the process has grown."""
    store = MemoryResponses(SYSTEM_CLOCK, max_bytes)
    before = psutil.Process().memory_info().rss

    def put(number: int) -> None:
        rng = random.Random(number)
        for index in range(entries // threads):
            key = CacheKey(os.urandom(32), f"tenant:{index % 1000}", "m")
            body, chunks, usage = (bytes(200 + rng.randrange(most)) for most in (size, 2 * size, 50))
            run_sync(store.put(key, StoredAnswer.of(body, chunks, usage, "up/m"), 60_000))
            if index % 10 == 0:
                assert run_sync(store.get(key)) is not None
                run_sync(store.get(key._replace(digest=bytes(32))))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(put, range(threads)))
    contents = run_sync(store.contents())
    return contents.bytes, psutil.Process().memory_info().rss - before


def check(max_bytes: int, entries: int, size: int, threads: int = 1, most: float = 1.1) -> None:
    # In a process of its own, whose memory nothing else has used before.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        counted, grown = pool.apply(fill, (max_bytes, entries, size, threads))
    assert 0.9 * max_bytes < counted <= max_bytes
    assert 0.9 * max_bytes < grown < most * max_bytes, f"{grown / max_bytes:.2f}"


@pytest.mark.soak
@pytest.mark.parametrize("size", [300, 1000, 20_000])
def test_many_answers_of_many_sizes(size: int) -> None:
    check(96 * MIB, 200_000, size)


@pytest.mark.soak
def test_a_million_answers() -> None:
    check(128 * MIB, 1_000_000, 500)


@pytest.mark.soak
def test_eight_threads() -> None:
    """The allocator of glibc keeps an arena for each thread, which `MALLOC_ARENA_MAX` bounds."""
    check(96 * MIB, 200_000, 500, threads=8, most=1.8)
