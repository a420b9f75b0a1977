"""What is said of the tree is true: cited sections of pages, the maps of packages, and the tests that docs/promises.md names."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.support.markdown import headings

SOURCES = ROOT / "src" / "completions_mw"
PROMISES = ROOT / "docs" / "promises.md"
CITATION = re.compile(r"(docs/[\w/-]+\.md)(?:, (?=[A-Z])(.{1,60}))?")
ROW = re.compile(r"^ *((?:\w+\.py(?:, )?)+) ", re.MULTILINE)
"""The files at the beginning of a row of a map."""
UNMAPPED = {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("folder", [SOURCES, ROOT / "tests"], ids=lambda folder: folder.name)
def test_cited_sections_exist(folder: Path) -> None:
    assert [citation for file in sorted(folder.rglob("*.py")) for citation in lost_citations(file)] == []


def lost_citations(file: Path) -> list[str]:
    text = re.sub(r"\s+(# )?", " ", file.read_text())
    return [f"{file.name}: {found[0]}" for found in CITATION.finditer(text) if not is_found(ROOT / found[1], found[2] or "")]


def is_found(page: Path, section: str) -> bool:
    return page.exists() and (not section or section.startswith(tuple(headings(page))))


@pytest.mark.parametrize("package", sorted(SOURCES.rglob("__init__.py")), ids=lambda file: file.parent.relative_to(SOURCES).as_posix())
def test_the_map_of_a_package_names_its_modules(package: Path) -> None:
    text = ast.get_docstring(ast.parse(package.read_text())) or ""
    modules = [file.name for file in package.parent.glob("*.py") if file.name not in UNMAPPED]
    folders = [f"{file.parent.name}/" for file in package.parent.glob("*/__init__.py")]
    assert [name for name in modules + folders if name not in text] == []
    assert [name for row in ROW.findall(text) for name in row.split(", ") if not (package.parent / name).exists()] == []


def test_the_tests_of_promises_exist() -> None:
    files = {file.name for file in (ROOT / "tests").glob("*/**/test_*.py")}
    named = set(re.findall(r"`(test_\w+\.py)`", PROMISES.read_text()))
    assert named
    assert named <= files
