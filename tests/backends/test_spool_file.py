"""Real files, real processes, real `kill -9`."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from completions_mw.backends.spool_file import AsyncSpoolFile, BlockingSpoolFile
from completions_mw.blocking import run_sync
from completions_mw.core.ports import SpoolFile, StoreError

WRITER = """
import resource, sys
from completions_mw.backends.spool_file import BlockingSpoolFile
from completions_mw.blocking import run_sync

if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
file = BlockingSpoolFile(sys.argv[1])
for number in range(int(sys.argv[2])):
    try:
        run_sync(file.append(b"line %d" % number))
        print("kept", number, flush=True)
    except Exception as error:
        print(type(error).__name__, number, flush=True)
print("ready", flush=True)
sys.stdin.read()
"""


class Writer:
    """A process that keeps lines, and lives until it is killed."""

    def __init__(self, path: Path, lines: int, limit: int | None = None) -> None:
        arguments = [str(path), str(lines)] + ([] if limit is None else [str(limit)])
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.said: list[str] = []
        while (line := self.process.stdout.readline().strip()) != "ready":
            assert line, "the writer died"
            self.said.append(line)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def writers() -> Iterator[list[Writer]]:
    started: list[Writer] = []
    yield started
    for writer in started:
        writer.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def file(path: Path) -> Iterator[BlockingSpoolFile]:
    spool_file = BlockingSpoolFile(path)
    yield spool_file
    run_sync(spool_file.aclose())


def adopt(file: SpoolFile) -> list[bytes]:
    return [line for line, _ in run_sync(file.adopt())]


def contents(path: Path) -> list[bytes]:
    return [found.read_bytes() for found in sorted(path.parent.iterdir())]


def test_nothing_is_opened_before_there_is_something_to_keep(file: BlockingSpoolFile, path: Path) -> None:
    assert adopt(file) == []
    assert contents(path) == []


def test_lines_are_on_disk_and_gone_when_all_are_done(file: BlockingSpoolFile, path: Path) -> None:
    receipts = [run_sync(file.append(line)) for line in (b"one", b"two")]
    assert contents(path) == [b"one\ntwo\n"]
    run_sync(file.done(receipts[0]))
    assert contents(path) == [b"one\ntwo\n"]
    run_sync(file.done(receipts[1]))
    assert contents(path) == [b""]
    run_sync(file.append(b"three"))
    assert contents(path) == [b"three\n"]


def test_nobody_else_can_read_it(file: BlockingSpoolFile, path: Path) -> None:
    run_sync(file.append(b"one"))
    (found,) = path.parent.iterdir()
    assert found.stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_if_nothing_is_pending(file: BlockingSpoolFile, path: Path) -> None:
    run_sync(file.done(run_sync(file.append(b"one"))))
    run_sync(file.aclose())
    assert contents(path) == []


def test_what_is_left_at_the_end_is_adopted(file: BlockingSpoolFile, path: Path) -> None:
    receipt = run_sync(file.append(b"one"))
    run_sync(file.aclose())
    run_sync(file.done(receipt))
    assert contents(path) == [b"one\n"]
    ((line, adopted),) = run_sync(file.adopt())
    assert line == b"one"
    run_sync(file.done(adopted))
    assert contents(path) == []


def test_the_file_of_a_living_process_is_its_own(file: BlockingSpoolFile, path: Path, writers: list[Writer]) -> None:
    writers.append(Writer(path, 2))
    assert adopt(file) == []
    assert contents(path) == [b"line 0\nline 1\n"]


def test_the_file_of_a_killed_process_is_adopted_once(file: BlockingSpoolFile, path: Path) -> None:
    writer = Writer(path, 3)
    assert writer.said == ["kept 0", "kept 1", "kept 2"]
    writer.kill()
    other = BlockingSpoolFile(path)
    lines = run_sync(file.adopt())
    assert [line for line, _ in lines] == [b"line 0", b"line 1", b"line 2"]
    assert adopt(file) == adopt(other) == []
    for _, receipt in lines:
        assert contents(path) != []
        run_sync(file.done(receipt))
    assert contents(path) == []


def test_what_was_adopted_and_not_done_is_adopted_again(file: BlockingSpoolFile, path: Path) -> None:
    Writer(path, 2).kill()
    (_, first), _ = run_sync(file.adopt())
    run_sync(file.done(first))
    run_sync(file.aclose())
    assert adopt(BlockingSpoolFile(path)) == [b"line 0", b"line 1"]


def test_several_dead_processes_one_after_another(file: BlockingSpoolFile, path: Path) -> None:
    for lines in (1, 2, 3):
        Writer(path, lines).kill()
    assert sorted(len(adopt(file)) for _ in range(4)) == [0, 1, 2, 3]


@pytest.mark.parametrize(("torn", "lines"), [(b"one\ntwo\nthr", [b"one", b"two"]), (b"one\n", [b"one"])], ids=["torn", "whole"])
def test_a_torn_last_line_is_ignored(file: BlockingSpoolFile, path: Path, torn: bytes, lines: list[bytes]) -> None:
    path.with_name("spool.0123456789abcdef").write_bytes(torn)
    assert adopt(file) == lines


@pytest.mark.parametrize("torn", [b"", b"torn"], ids=["empty", "torn"])
def test_a_file_without_a_whole_line_is_tidied_up(file: BlockingSpoolFile, path: Path, torn: bytes) -> None:
    path.with_name("spool.0123456789abcdef").write_bytes(torn)
    assert adopt(file) == []
    assert contents(path) == []


def test_other_files_are_let_alone(file: BlockingSpoolFile, path: Path) -> None:
    for name in ("spool", "spool.bak", "spool.0123", "xspool.0123456789abcdef", "spool.0123456789abcdeg"):
        path.with_name(name).write_bytes(b"one\n")
    assert adopt(file) == []
    assert contents(path) == [b"one\n"] * 5


def test_a_full_disk_keeps_whole_lines_only(file: BlockingSpoolFile, path: Path) -> None:
    writer = Writer(path, 12, limit=50)
    assert writer.said == [f"kept {number}" for number in range(7)] + [f"StoreError {number}" for number in range(7, 12)]
    writer.kill()
    assert contents(path) == [b"".join(b"line %d\n" % number for number in range(7))]
    assert len(adopt(file)) == 7


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    file = BlockingSpoolFile(tmp_path / "missing" / "spool")
    for work in (file.append(b"one"), file.adopt()):
        with pytest.raises(StoreError) as caught:
            run_sync(work)
        assert str(caught.value) == "The spool's file failed: No such file or directory."


def test_a_forked_child_has_a_file_of_its_own(file: BlockingSpoolFile, path: Path) -> None:
    receipt = run_sync(file.append(b"parent"))
    child = os.fork()
    if child == 0:
        try:
            run_sync(file.done(receipt))
            run_sync(file.append(b"child"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert sorted(contents(path)) == [b"child\n", b"parent\n"]
    assert adopt(file) == [b"child"]


def test_the_file_of_a_dead_parent_is_free_though_its_child_lives(path: Path, file: BlockingSpoolFile) -> None:
    code = """
import os, sys
from completions_mw.backends.spool_file import BlockingSpoolFile
from completions_mw.blocking import run_sync
file = BlockingSpoolFile(sys.argv[1])
run_sync(file.append(b"parent"))
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)
    sys.stdin.read()
else:
    os._exit(0)
"""
    parent = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        parent.wait()
        os.kill(child, 0)
        assert adopt(file) == [b"parent"]
    finally:
        os.kill(child, signal.SIGKILL)
        parent.communicate()


def test_the_async_file_is_the_same_in_a_thread(path: Path) -> None:
    async def scenario() -> None:
        file = AsyncSpoolFile(path)
        receipt = await file.append(b"one")
        assert contents(path) == [b"one\n"]
        await file.done(receipt)
        await file.append(b"two")
        await file.aclose()
        ((line, receipt),) = await file.adopt()
        assert line == b"two"
        await file.done(receipt)

    asyncio.run(scenario())
    assert contents(path) == []


def test_threads_keep_whole_lines(file: BlockingSpoolFile, path: Path) -> None:
    lines = [b"line %d" % number for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        receipts = list(threads.map(lambda line: run_sync(file.append(line)), lines))
        assert sorted(contents(path)[0].splitlines()) == sorted(lines)
        list(threads.map(lambda receipt: run_sync(file.done(receipt)), receipts))
    assert contents(path) == [b""]


def test_a_child_does_not_wait_for_a_thread_of_its_parent(file: BlockingSpoolFile, path: Path) -> None:
    with file._files._lock:
        child = os.fork()
        if child == 0:
            try:
                run_sync(file.append(b"child"))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    assert adopt(file) == [b"child"]


def test_what_is_set_aside_is_kept_and_not_adopted(file: BlockingSpoolFile, path: Path) -> None:
    receipts = [run_sync(file.append(line)) for line in (b"one", b"two")]
    name = run_sync(file.set_aside(b"one", receipts[0]))
    assert run_sync(file.set_aside(b"three", None)) == name
    aside = path.with_name(name)
    assert (aside.read_bytes(), aside.stat().st_mode & 0o777) == (b"one\nthree\n", 0o600)
    run_sync(file.done(receipts[1]))
    run_sync(file.aclose())
    assert contents(path) == [b"one\nthree\n"]
    assert adopt(BlockingSpoolFile(path)) == []
    aside.rename(aside.with_suffix(""))
    assert adopt(file) == [b"one", b"three"]


def test_what_is_set_aside_leaves_the_file_of_a_dead_process(file: BlockingSpoolFile, path: Path) -> None:
    Writer(path, 1).kill()
    ((line, receipt),) = run_sync(file.adopt())
    name = run_sync(file.set_aside(line, receipt))
    assert [found.name for found in path.parent.iterdir()] == [name]


def test_what_cannot_be_set_aside_stays_where_it_is(file: BlockingSpoolFile, path: Path) -> None:
    receipt = run_sync(file.append(b"one"))
    (own,) = path.parent.iterdir()
    Path(f"{own}.aside").mkdir()
    with pytest.raises(StoreError, match="Is a directory"):
        run_sync(file.set_aside(b"one", receipt))
    assert own.read_bytes() == b"one\n"
