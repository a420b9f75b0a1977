"""What a process has while it works, and whether that grows."""

import time
from collections.abc import Callable
from statistics import linear_regression, median
from typing import NamedTuple

import psutil

MOST_BYTES = 16
"""Of memory that a request may leave behind."""
MOST_MORE = 3
"""File descriptors or threads by which a process that leaks none may differ from itself some time later."""
LINES = 30


class Sample(NamedTuple):
    """What a process had after so many requests."""

    requests: int
    rss: int
    fds: int
    threads: int


def watch(process: psutil.Process, progress: Callable[[], int], seconds: float) -> list[Sample]:
    """Take samples for so long.

    Args:
        process: the one that answers.
        progress: waits for further requests, and returns how many there were.
        seconds: for how long.
    """
    samples, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        requests = progress()
        with process.oneshot():
            samples.append(Sample(requests, process.memory_info().rss, process.num_fds(), process.num_threads()))
    return samples


def bytes_per_request(samples: list[Sample]) -> float:
    """Return the slope of the memory by least squares, in the last two thirds of the requests."""
    settled = _last_two_thirds(samples)
    return linear_regression([one.requests for one in settled], [one.rss for one in settled]).slope


def check_growth(samples: list[Sample]) -> None:
    """Check that neither memory nor file descriptors nor threads grew in the last two thirds of the requests."""
    settled = _last_two_thirds(samples)
    earlier, later = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    assert bytes_per_request(samples) <= MOST_BYTES
    assert median(one.fds for one in later) - median(one.fds for one in earlier) <= MOST_MORE
    assert median(one.threads for one in later) - median(one.threads for one in earlier) <= MOST_MORE


def curve(samples: list[Sample]) -> list[str]:
    """Return some of the samples, to be shown."""
    some = [*samples[:: len(samples) // LINES + 1], samples[-1]]
    return [f"{one.requests} requests: {one.rss // 1024} KiB, {one.fds} descriptors, {one.threads} threads" for one in some]


def _last_two_thirds(samples: list[Sample]) -> list[Sample]:
    return [one for one in samples if one.requests > samples[-1].requests / 3]
