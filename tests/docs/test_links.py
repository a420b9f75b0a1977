"""README and docs as a reader walks through them: every link leads somewhere, every page is in the index, the front page is short."""

from pathlib import Path

import pytest

from tests.docs.pages import FRONT, PAGES, ROOT
from tests.support.markdown import anchors, headings, links

DOCUMENTS = [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md"))]
INDEX = ROOT / "docs" / "README.md"
LONGEST_FRONT_PAGE = 150


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    assert [link for link in links(document) if "://" not in link and not leads_somewhere(document, link)] == []


def leads_somewhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    return target.exists() and target.is_relative_to(ROOT) and (not anchor or anchor in anchors(target))


def test_the_index_names_every_page() -> None:
    listed = [(INDEX.parent / link).resolve() for link in links(INDEX)]
    assert [page.name for page in PAGES if page not in (FRONT, INDEX) and page not in listed] == []


def test_the_front_page_is_short() -> None:
    assert len(FRONT.read_text().splitlines()) <= LONGEST_FRONT_PAGE


@pytest.mark.parametrize("document", PAGES, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_a_page_has_one_title_and_no_heading_twice(document: Path) -> None:
    titles = [line for line in document.read_text().splitlines() if line.startswith("# ")]
    found = headings(document)
    assert titles[0] == document.read_text().splitlines()[0]
    assert sorted(set(found)) == sorted(found)
