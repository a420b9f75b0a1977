"""The files of a spool: one for each process that has settlements to keep, named after the path in the settings.

A process locks its file until the process ends. A file that can be locked belongs to no process any more, and any process may take it over.
Lines that are set aside are kept in a second file, whose name ends with `.aside`; a file that is renamed to lose this ending is taken over
again.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from completions_mw.backends.locked_file import LockedFile, sync_folder
from completions_mw.backends.ownership import PerProcess
from completions_mw.backends.runners import Runner, WorkerThreads, run_inline
from completions_mw.core.ports import StoreError


class DiskSpoolFile:
    """Base class of a `SpoolFile` on disk: everything but the thread in which calls wait for the disk.

    Args:
        path: what the names of the files start with; its folder must exist.
        runner: makes the calls that wait for the disk.
    """

    def __init__(self, path: str | Path, runner: Runner) -> None:
        self._files = _Files(Path(path))
        self._runner = runner

    async def append(self, *lines: bytes) -> object:
        return await self._runner(self._files.append, *lines)

    async def done(self, receipt: object) -> None:
        await self._runner(self._files.done, receipt)

    async def adopt(self) -> list[tuple[bytes, object]]:
        return await self._runner(self._files.adopt)

    async def set_aside(self, line: bytes, receipt: object) -> str:
        return await self._runner(self._files.set_aside, line, receipt)

    async def aclose(self) -> None:
        await self._runner(self._files.close)


class BlockingSpoolFile(DiskSpoolFile):
    """A `SpoolFile` on disk for threads and greenlets: calls wait for the disk.

    Args:
        path: what the names of the files start with; its folder must exist.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, run_inline)


class AsyncSpoolFile(DiskSpoolFile):
    """A `SpoolFile` on disk for event loops: calls wait for the disk in a thread.

    Args:
        path: what the names of the files start with; its folder must exist.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, WorkerThreads(1))


class _Files(PerProcess):
    """The files of this process: its own file, and files that were taken over from processes that have ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_one = re.compile(re.escape(path.name) + r"\.[0-9a-f]{16}").fullmatch
        self._own: LockedFile | None = None
        self._adopted: list[LockedFile] = []
        super().__init__()

    def reset(self) -> None:
        self._lock = Lock()
        # In a child: the files of the parent must not stay locked when the parent dies.
        self._let_go()

    def append(self, *lines: bytes) -> LockedFile:
        """Write lines, and return their receipt: the file that holds them."""
        with self._lock, _as_store_errors():
            file = self._owned()
            file.append(*lines)
            return file

    def done(self, receipt: object) -> None:
        assert isinstance(receipt, LockedFile)
        with self._lock:
            self._done(receipt)

    def set_aside(self, line: bytes, receipt: object) -> str:
        assert isinstance(receipt, LockedFile | None)
        with self._lock, _as_store_errors():
            name = (receipt if receipt is not None and receipt.is_open else self._owned()).set_aside(line)
            if receipt is not None:
                self._done(receipt)
            return name

    def adopt(self) -> list[tuple[bytes, object]]:
        with self._lock, _as_store_errors():
            for name in sorted(os.listdir(self._path.parent)):
                if self._is_one(name) and (lines := self._take_over(self._path.with_name(name))):
                    return lines
        return []

    def close(self) -> None:
        with self._lock:
            if self._own is not None and not self._own.pending:
                self._own.path.unlink(missing_ok=True)
            self._let_go()

    def _done(self, file: LockedFile) -> None:
        # A receipt of a parent process, or of the time before `close`: the file has another owner.
        if not file.is_open:
            return
        file.pending -= 1
        if file.pending:
            return
        # The lines of a file that cannot be changed are posted once more by the next process, which changes no budget.
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

    def _owned(self) -> LockedFile:
        if self._own is None:
            file = None
            while file is None:
                file = LockedFile.take(self._path.with_name(f"{self._path.name}.{secrets.token_hex(8)}"), os.O_CREAT | os.O_EXCL)
            sync_folder(self._path.parent)
            self._own = file
        return self._own

    def _take_over(self, path: Path) -> list[tuple[bytes, object]]:
        try:
            file = LockedFile.take(path, 0)
        except FileNotFoundError:
            # The process that owned the file has just removed it.
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
        return [(line, file) for line in lines]


@contextmanager
def _as_store_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"The spool's file failed: {os.strerror(error.errno or 0)}.") from error
