import asyncio
import gc

import pytest

from completions_mw.blocking import iterate, run_sync


async def answer() -> int:
    return 42


async def waits() -> None:
    await asyncio.sleep(0)


class Numbers:
    def __init__(self) -> None:
        self.left = 2
        self.ends: list[str] = []

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.left

    async def aclose(self) -> None:
        self.ends.append("closed")

    async def abandon(self) -> None:
        self.ends.append("abandoned")


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
    assert numbers.ends == ["closed"]


def test_closing_twice_closes_once() -> None:
    numbers = Numbers()
    iterator = iterate(numbers)
    next(iterator)
    iterator.close()
    iterator.close()
    del iterator
    assert numbers.ends == ["closed"]


@pytest.mark.parametrize("started", [False, True], ids=["new", "started"])
def test_a_stream_that_is_dropped_is_abandoned_and_not_closed(started: bool) -> None:
    numbers = Numbers()
    iterator = iterate(numbers)
    if started:
        next(iterator)
    del iterator
    assert numbers.ends == ["abandoned"]


def test_the_garbage_collector_abandons_a_stream_in_a_cycle() -> None:
    numbers = Numbers()
    cycle: list[object] = [iterate(numbers)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert numbers.ends == ["abandoned"]


def test_a_stream_whose_end_fails_is_ended() -> None:
    class Broken(Numbers):
        async def aclose(self) -> None:
            await super().aclose()
            raise OSError("broken")

    broken = Broken()
    iterator = iterate(broken)
    with pytest.raises(OSError, match="broken"):
        iterator.close()
    del iterator
    assert broken.ends == ["closed"]
