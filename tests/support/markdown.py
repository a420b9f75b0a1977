"""The code in a Markdown document, block by block, so that what a document promises can be run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Block(NamedTuple):
    """A fenced block of code."""

    heading: str
    """The nearest one above it."""
    language: str
    code: str
    line: int
    """Of the document, for the names of tests."""


def code_blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a document, in its order."""
    return list(_blocks(document.read_text().splitlines()))


def _blocks(lines: list[str]) -> Iterator[Block]:
    heading, language, code, start = "", None, list[str](), 0
    for number, line in enumerate(lines, 1):
        fence = re.fullmatch(r"```(\w*)", line)
        if language is None and fence:
            language, code, start = fence[1], [], number
        elif fence:
            yield Block(heading, language or "", "\n".join(code) + "\n", start)
            language = None
        elif language is not None:
            code.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
