"""The files of a spool: one for each process that has something to keep, beside the path of the settings.

A file is locked by its process for as long as that lives, and the kernel ends the lock however the process dies. So a file that can be
locked belongs to nobody, and whoever finds it takes it over. What is set aside is kept in a file beside it, whose name ends with `.aside`;
without that ending it is taken over again.
"""

import fcntl
import os
import re
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Self
from weakref import WeakSet

import anyio.to_thread

from completions_mw.core.ports import StoreError


class BlockingSpoolFile:
    """A `SpoolFile` on disk, which waits for the disk where it is called.

    Args:
        path: what the names of the files start with; its folder must exist.
    """

    def __init__(self, path: str | Path) -> None:
        self._files = _Files(Path(path))

    async def append(self, line: bytes) -> object:
        return self._files.append(line)

    async def done(self, receipt: object) -> None:
        self._files.done(receipt)

    async def adopt(self) -> list[tuple[bytes, object]]:
        return self._files.adopt()

    async def set_aside(self, line: bytes, receipt: object) -> str:
        return self._files.set_aside(line, receipt)

    async def aclose(self) -> None:
        self._files.close()


class AsyncSpoolFile:
    """A `SpoolFile` on disk, which waits for the disk in a thread.

    Args:
        path: what the names of the files start with; its folder must exist.
    """

    def __init__(self, path: str | Path) -> None:
        self._files = _Files(Path(path))

    async def append(self, line: bytes) -> object:
        return await anyio.to_thread.run_sync(self._files.append, line)

    async def done(self, receipt: object) -> None:
        await anyio.to_thread.run_sync(self._files.done, receipt)

    async def adopt(self) -> list[tuple[bytes, object]]:
        return await anyio.to_thread.run_sync(self._files.adopt)

    async def set_aside(self, line: bytes, receipt: object) -> str:
        return await anyio.to_thread.run_sync(self._files.set_aside, line, receipt)

    async def aclose(self) -> None:
        await anyio.to_thread.run_sync(self._files.close)


class _LockedFile:
    """A file that belongs to this process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.is_open = True
        self.pending = 0
        """Lines that are not done yet."""
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, flags: int) -> Self | None:
        """Open and lock a file; None if another process was faster."""
        descriptor = os.open(path, flags | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It may have been removed between its opening and its locking.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return cls(path, descriptor)
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def append(self, line: bytes) -> None:
        _append(self._descriptor, line)
        self.pending += 1

    def set_aside(self, line: bytes) -> str:
        """Keep a line beside this file; return the name of that file, which nobody else writes while this one is locked."""
        path = self.path.with_name(f"{self.path.name}.aside")
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _append(descriptor, line)
        finally:
            os.close(descriptor)
        _sync_folder(path.parent)
        return path.name

    def lines(self) -> list[bytes]:
        """Return the whole lines; a last one without its end was not kept, and whoever wrote it did not count on it."""
        lines = self.path.read_bytes().split(b"\n")[:-1]
        self.pending = len(lines)
        return lines

    def empty(self) -> None:
        os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            os.close(self._descriptor)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.close()


class _Line:
    """A line that is kept, or about to be."""

    __slots__ = ("error", "file", "text")

    def __init__(self, text: bytes, file: _LockedFile | None = None) -> None:
        self.text = text
        self.file = file
        self.error: OSError | None = None


class _Files:
    """What this process has: its own file, and those that it took over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_one = re.compile(re.escape(path.name) + r"\.[0-9a-f]{16}").fullmatch
        self._lock = RLock()
        self._is_busy = False
        self._inbox: deque[_Line] = deque()
        self._own: _LockedFile | None = None
        self._adopted: list[_LockedFile] = []
        _instances.add(self)

    def append(self, text: bytes) -> object:
        line = _Line(text)
        self._inbox.append(line)
        with self._turn(), _as_store_errors():
            if line.error is not None:
                raise line.error
        return line

    def done(self, receipt: object) -> None:
        assert isinstance(receipt, _Line)
        with self._turn():
            self._done(receipt.file)

    def set_aside(self, text: bytes, receipt: object) -> str:
        assert isinstance(receipt, _Line | None)
        with self._turn(), _as_store_errors():
            file = receipt.file if receipt is not None else None
            if file is None or not file.is_open:
                file = self._owned()
            name = file.set_aside(text)
            if receipt is not None:
                self._done(receipt.file)
            return name

    def adopt(self) -> list[tuple[bytes, object]]:
        with self._turn(), _as_store_errors():
            for name in sorted(os.listdir(self._path.parent)):
                if self._is_one(name) and (lines := self._take_over(self._path.with_name(name))):
                    return lines
        return []

    def close(self) -> None:
        with self._turn():
            if self._own is not None and not self._own.pending:
                self._own.path.unlink(missing_ok=True)
            self._let_go()

    def after_fork(self) -> None:
        """In the child: the files are the parent's, and must not stay locked when that dies; nor may the lock, if a thread had it."""
        self._lock = RLock()
        self._is_busy = False
        self._inbox.clear()
        self._let_go()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for other threads, and write what is to be kept.

        The garbage collector may close a stream, and with it keep a line, in the middle of a call of the same thread: that line waits for
        the end of the call.
        """
        with self._lock:
            if self._is_busy:
                yield
                return
            self._write_inbox()
            self._is_busy = True
            try:
                yield
            finally:
                self._is_busy = False
                self._write_inbox()

    def _write_inbox(self) -> None:
        while self._inbox and not self._is_busy:
            self._is_busy = True
            try:
                self._write(self._inbox.popleft())
            finally:
                self._is_busy = False

    def _write(self, line: _Line) -> None:
        try:
            file = self._owned()
            file.append(line.text)
            line.file = file
        except OSError as error:
            line.error = error

    def _done(self, file: _LockedFile | None) -> None:
        # Of a parent process, or of the time before `close`: the file has another owner.
        if file is None or not file.is_open:
            return
        file.pending -= 1
        if file.pending:
            return
        # A file that cannot be changed is posted once more, by the next process, which changes nothing.
        with suppress(OSError):
            if file is self._own:
                file.empty()
            else:
                self._adopted.remove(file)
                file.remove()

    def _let_go(self) -> None:
        for file in self._adopted if self._own is None else (self._own, *self._adopted):
            file.close()
        self._own, self._adopted = None, []

    def _owned(self) -> _LockedFile:
        if self._own is None:
            self._own = self._new()
        return self._own

    def _new(self) -> _LockedFile:
        file = None
        while file is None:
            file = _LockedFile.take(self._path.with_name(f"{self._path.name}.{secrets.token_hex(8)}"), os.O_CREAT | os.O_EXCL)
        _sync_folder(self._path.parent)
        return file

    def _take_over(self, path: Path) -> list[tuple[bytes, object]]:
        try:
            file = _LockedFile.take(path, 0)
        except FileNotFoundError:
            # Its process has just tidied it up.
            return []
        if file is None:
            return []
        try:
            lines = file.lines()
        except OSError:
            file.close()
            raise
        if not lines:
            file.remove()
            return []
        self._adopted.append(file)
        return [(line, _Line(line, file)) for line in lines]


def _append(descriptor: int, line: bytes) -> None:
    size = os.fstat(descriptor).st_size
    try:
        _write(descriptor, line + b"\n")
        os.fsync(descriptor)
    except OSError:
        # Half a line would spoil the next one.
        os.ftruncate(descriptor, size)
        raise


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _as_store_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"The spool's file failed: {os.strerror(error.errno or 0)}.") from error


_instances: WeakSet[_Files] = WeakSet()


def _after_fork() -> None:
    for files in _instances:
        files.after_fork()


os.register_at_fork(after_in_child=_after_fork)
