"""The port of files in which what a store could not take waits (docs/promises.md, Stores that fail)."""

from typing import Protocol


class SpoolFile(Protocol):
    """Keeps lines on disk, so that they outlive the process."""

    async def append(self, *lines: bytes) -> object:
        """Write lines, so that they survive a power cut.

        Returns:
            The receipt of each of the lines, for `done`.

        Raises:
            StoreError: the lines could not be written, and none of them is kept.
        """
        ...

    async def done(self, receipt: object) -> None:
        """Remove a line that is no longer needed."""
        ...

    async def adopt(self) -> list[tuple[bytes, object]]:
        """Take over the lines of one dead process, with their receipts; none if there is no such process.

        Raises:
            StoreError: the lines cannot be read.
        """
        ...

    async def set_aside(self, line: bytes, receipt: object) -> str:
        """Move a line to a file that no process adopts. The receipt is None for a line that was only in memory.

        Returns:
            The name of the file, without its folder.

        Raises:
            StoreError: the line could not be moved and is kept as it was.
        """
        ...

    async def aclose(self) -> None:
        """Release all remaining lines, for other processes to adopt."""
        ...
