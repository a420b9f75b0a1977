import os
import sys
from collections.abc import Iterator
from threading import Barrier, Thread

import pytest

import completions_mw.backends.ownership  # noqa: F401 - what fixes turns in a child
from completions_mw.core.resilience.throttle import Throttle


def test_a_turn_at_most_every_so_many_seconds() -> None:
    turns = Throttle(10.0)
    assert [turns.ready(now) for now in (0.0, 9.9, 10.0, 10.1, 35.0, 44.9, 45.0)] == [True, False, True, False, True, False, True]


def test_the_first_turn_may_be_later() -> None:
    turns = Throttle(1.0, first=5.0)
    assert [turns.ready(now) for now in (4.9, 5.0, 5.9, 6.0)] == [False, True, False, True]


@pytest.fixture
def hasty() -> Iterator[None]:
    """Let threads take turns as often as Python can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty")
def test_one_thread_of_many_gets_the_turn() -> None:
    turns = Throttle(1.0)
    taken: list[int] = []
    start = Barrier(8)

    def ask() -> None:
        start.wait()
        taken.extend([now for now in range(200) if turns.ready(now)])

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken))
    assert 199 in taken


def test_a_child_of_a_process_in_which_a_thread_was_asking_has_turns() -> None:
    turns = Throttle(10.0)
    turns._next.clear()
    child = os.fork()
    if child == 0:
        os._exit(0 if [turns.ready(now) for now in (0.0, 9.9, 10.0)] == [True, False, True] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not turns.ready(0.0)
