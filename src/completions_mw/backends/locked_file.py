"""A file of lines that one process owns until the process ends.

The lock is that of flock(2): the kernel releases it however the process dies, so a file that can be locked belongs to no process.
"""

import fcntl
import os
from pathlib import Path
from typing import Self


class LockedFile:
    """A file of lines that belongs to this process: the file is locked until it is closed.

    Args:
        path: path of the file.
        descriptor: descriptor of the file, which is open and locked.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.is_open = True
        self.pending = 0
        """Lines that are not done yet."""
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, flags: int) -> Self | None:
        """Open and lock a file; None if another process owns the file, or has just removed it."""
        descriptor = os.open(path, flags | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The file may have been removed between its opening and its locking.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return cls(path, descriptor)
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def append(self, *lines: bytes) -> None:
        """Write lines, all of them or none, so that they survive a power cut."""
        _append(self._descriptor, *lines)
        self.pending += len(lines)

    def set_aside(self, line: bytes) -> str:
        """Write a line to the `.aside` file of this file, and return the name of that file; only the owner of this file writes there."""
        path = self.path.with_name(f"{self.path.name}.aside")
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _append(descriptor, line)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)
        return path.name

    def lines(self) -> list[bytes]:
        """Return the complete lines. A last line without its end belongs to a call of `append` that did not return."""
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


def _append(descriptor: int, *lines: bytes) -> None:
    size = os.fstat(descriptor).st_size
    try:
        data = b"".join([line + b"\n" for line in lines])
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError:
        # A part of a line would spoil the next one.
        os.ftruncate(descriptor, size)
        raise


def sync_folder(path: Path) -> None:
    """Make the names of new files in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
