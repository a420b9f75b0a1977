"""Markdown documents: their code, block by block, so that what they promise can be run; and their links, so that these lead somewhere."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
_LINK = re.compile(r"\[[^\[\]]*\]\(([^()\s]+)\)")


class Block(NamedTuple):
    """A fenced block of code."""

    heading: str
    """The nearest one above it."""
    language: str
    code: str
    line: int
    """Of the document, for the names of tests."""
    page: str = ""
    """The document, where a test names it."""
    excuse: str | None = None
    """Why it is not run, where a comment above it says so: `<!-- not run: there is no nginx -->`."""

    @property
    def file(self) -> str | None:
        """The file that a reader keeps it in, if its first line says so: `# app.py`."""
        named = re.match(r"# ([\w./-]+\.\w+)\n", self.code)
        return named[1] if named else None

    @property
    def end(self) -> int:
        """The line of the document that closes it."""
        return self.line + self.code.count("\n") + 1


def code_blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a document, in its order."""
    return list(_blocks(document.read_text().splitlines()))


def anchors(document: Path) -> set[str]:
    """Return what GitHub lets a link to a heading of a document end with."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in headings(document):
        slug = slug_of(heading)
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def slug_of(heading: str) -> str:
    """Return the anchor of a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def headings(document: Path) -> list[str]:
    """Return the headings of a document, without their marks."""
    return [line.lstrip("# ") for line in _prose(document) if re.match(r"#{1,6} ", line)]


def links(document: Path) -> list[str]:
    """Return where the links of a document lead."""
    return [target for line in _prose(document) for target in _LINK.findall(re.sub(r"`[^`]*`", "", line))]


def _prose(document: Path) -> Iterator[str]:
    fenced = False
    for line in document.read_text().splitlines():
        fenced ^= line.startswith("```")
        if not fenced:
            yield line


def _blocks(lines: list[str]) -> Iterator[Block]:
    heading, language, code, start, excuse = "", None, list[str](), 0, None
    for number, line in enumerate(lines, 1):
        fence = re.fullmatch(r"```(\w*)", line)
        if language is None and fence:
            language, code, start = fence[1], [], number
        elif fence:
            yield Block(heading, language or "", "\n".join(code) + "\n", start, excuse=excuse)
            language = excuse = None
        elif language is not None:
            code.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
        elif said := _NOT_RUN.fullmatch(line):
            excuse = said[1]
