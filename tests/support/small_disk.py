"""A file system of 8 MiB, to be filled and to be made read-only."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_READ_ONLY, _REMOUNT, _DETACH = 1, 32, 2
_SIZE = 8 * 2**20
_OPTIONS = f"size={_SIZE}".encode()


class SmallDisk:
    """A mounted one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no room."""
        with pytest.raises(OSError, match="No space"):
            self._ballast.write_bytes(bytes(_SIZE))

    def empty(self) -> None:
        """Undo `fill`."""
        self._ballast.unlink()

    def allow_writing(self, allowed: bool) -> None:
        """Let nobody write, or everybody again; nobody may have a file open for writing then."""
        flags = _REMOUNT if allowed else _REMOUNT | _READ_ONLY
        assert ctypes.CDLL(None).mount(b"tmpfs", os.fsencode(self.folder), b"tmpfs", flags, _OPTIONS) == 0


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount one at a folder until the end of the `with` block; skip the test where that is not allowed."""
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, _OPTIONS):
        pytest.skip("mounting is not allowed here")
    try:
        yield SmallDisk(folder)
    finally:
        libc.umount2(os.fsencode(folder), _DETACH)
