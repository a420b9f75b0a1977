import asyncio

import pytest

from completions_mw.blocking import iterate, run_sync


async def answer() -> int:
    return 42


async def waits() -> None:
    await asyncio.sleep(0)


class Numbers:
    def __init__(self) -> None:
        self.left = 2
        self.closed = 0
        self.abandoned = 0

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.left

    async def aclose(self) -> None:
        self.closed += 1

    async def abandon(self) -> None:
        self.abandoned += 1


def test_a_coroutine_that_never_suspends_runs_without_a_loop() -> None:
    assert run_sync(answer()) == 42


def test_a_stray_suspension_names_the_coroutine() -> None:
    with pytest.raises(RuntimeError, match=r"^waits suspended"):
        run_sync(waits())


def test_a_stream_becomes_an_iterator() -> None:
    assert list(iterate(Numbers())) == [1, 0]


def test_closing_a_stream_that_never_started_reaches_it() -> None:
    numbers = Numbers()
    with iterate(numbers):
        pass
    assert numbers.closed == 1


def test_a_stream_that_is_dropped_is_abandoned_and_not_closed() -> None:
    numbers = Numbers()
    stream = iterate(numbers)
    next(stream)
    del stream
    assert (numbers.closed, numbers.abandoned) == (0, 1)


def test_a_stream_that_was_closed_is_not_abandoned() -> None:
    numbers = Numbers()
    stream = iterate(numbers)
    stream.close()
    stream.close()
    del stream
    assert (numbers.closed, numbers.abandoned) == (1, 0)
