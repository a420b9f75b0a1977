"""Background work on threads, real ones, and across real forks."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from completions_mw.backends.background import BlockingBackground
from completions_mw.blocking import run_sync
from completions_mw.core.ports import StoreError
from tests.backends.background.conftest import SOON, WAIT, answer, failing, lines, upkeep_threads
from tests.support.forked import in_child


@pytest.fixture
def blocking() -> Iterator[BlockingBackground]:
    background = BlockingBackground()
    yield background
    run_sync(background.aclose())
    assert upkeep_threads() == []


class Beats:
    """Counts its calls, and lets a test wait for the next one."""

    def __init__(self) -> None:
        self.threads: set[str] = set()
        self._beat = threading.Semaphore(0)

    async def beat(self) -> None:
        self.threads.add(threading.current_thread().name)
        self._beat.release()

    async def fail(self) -> None:
        self._beat.release()
        raise StoreError("canary")

    def wait(self, times: int) -> None:
        for _ in range(times):
            assert self._beat.acquire(timeout=WAIT)


def test_blocking_work_is_completed_inline(blocking: BlockingBackground) -> None:
    assert run_sync(blocking.complete(answer())) == 42
    with pytest.raises(StoreError):
        run_sync(blocking.complete(failing()))
    assert upkeep_threads() == []


def test_one_thread_repeats_all_blocking_work(blocking: BlockingBackground) -> None:
    one, two = Beats(), Beats()
    for _ in range(3):
        blocking.keep(SOON, one.beat)
        blocking.keep(SOON, two.beat)
    one.wait(3)
    two.wait(3)
    assert one.threads == two.threads == {"completions_mw-upkeep"}
    (thread,) = upkeep_threads()
    assert thread.daemon


def test_blocking_work_waits_for_its_interval(blocking: BlockingBackground) -> None:
    rare, often = Beats(), Beats()
    blocking.keep(3600, rare.beat)
    blocking.keep(SOON, often.beat)
    often.wait(20)
    assert rare.threads == set()


def test_many_threads_start_one_thread(blocking: BlockingBackground) -> None:
    beats = Beats()
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        blocking.keep(SOON, beats.beat)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    beats.wait(1)
    assert len(upkeep_threads()) == 1


def test_a_request_that_is_killed_as_the_thread_starts_stops_no_work(
    blocking: BlockingBackground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As gevent kills a greenlet, which waits until the thread has started."""
    start = threading.Thread.start

    def start_and_be_killed(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    one, two = Beats(), Beats()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start_and_be_killed)
        with pytest.raises(KeyboardInterrupt):
            blocking.keep(SOON, one.beat)
    blocking.keep(SOON, two.beat)
    one.wait(2)
    two.wait(2)
    assert lines(caplog) == []


def test_blocking_work_that_fails_goes_on(blocking: BlockingBackground, caplog: pytest.LogCaptureFixture) -> None:
    beats = Beats()
    blocking.keep(SOON, beats.fail)
    beats.wait(5)
    run_sync(blocking.aclose())
    assert lines(caplog) == [{"event": "background_failed", "work": "Beats.fail", "error": "StoreError"}]


def test_the_thread_stops_at_once_and_may_start_again(blocking: BlockingBackground) -> None:
    beats = Beats()
    blocking.keep(3600, beats.beat)
    run_sync(blocking.aclose())
    assert upkeep_threads() == []
    blocking.keep(SOON, beats.beat)
    beats.wait(1)


def test_closing_from_within_the_work(blocking: BlockingBackground) -> None:
    closed = threading.Event()

    async def close() -> None:
        await blocking.aclose()
        closed.set()

    blocking.keep(SOON, close)
    (thread,) = upkeep_threads()
    assert closed.wait(WAIT)
    thread.join(WAIT)
    assert not thread.is_alive()


def test_too_many_threads_fail_no_request(
    blocking: BlockingBackground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    beats = Beats()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        blocking.keep(SOON, beats.beat)
    assert [line["error"] for line in lines(caplog)] == ["RuntimeError"]
    blocking.keep(SOON, beats.beat)
    beats.wait(1)


def test_a_forked_child_has_a_thread_of_its_own(blocking: BlockingBackground) -> None:
    beats = Beats()
    blocking.keep(SOON, beats.beat)
    beats.wait(1)
    child = os.fork()
    if child == 0:
        ours = Beats()
        blocking.keep(SOON, ours.beat)
        ours.wait(2)
        run_sync(blocking.aclose())
        os._exit(len(upkeep_threads()))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    beats.wait(2)


def test_what_runs_in_a_process_does_not_go_on_in_its_child(blocking: BlockingBackground) -> None:
    """A child would renew what its parent holds, also when the parent is gone."""
    is_alive = blocking.keep(WAIT, Beats().beat)
    assert is_alive()
    assert in_child(is_alive) is False


def test_a_process_that_never_closes_exits_in_good_order() -> None:
    code = """
import atexit, threading
from completions_mw.backends.background.blocking import BlockingBackground

begun, exiting = threading.Event(), threading.Event()
atexit.register(exiting.set)

async def work():
    begun.set()
    exiting.wait()
    print("done", flush=True)

BlockingBackground().keep(0.001, work)
begun.wait()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "done\n"
    assert ended.stderr == ""


def test_everything_is_logged_at_error(caplog: pytest.LogCaptureFixture, blocking: BlockingBackground) -> None:
    beats = Beats()
    blocking.keep(SOON, beats.fail)
    beats.wait(2)
    run_sync(blocking.aclose())
    assert {(record.name, record.levelno) for record in caplog.records} == {("completions_mw", logging.ERROR)}
