"""What `pip install completions-mw` puts onto a disk, without any extra."""

from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.pages import ROOT

MAX_BYTES = 15 * 1024 * 1024


def needed(name: str, found: dict[str, int]) -> dict[str, int]:
    """Return the bytes of a distribution and of all that it needs without extras, by name."""
    installed = distribution(name)
    found[name] = sum(size_of(Path(str(file.locate()))) for file in installed.files or ())
    for text in installed.requires or ():
        requirement = Requirement(text)
        is_needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if is_needed and canonicalize_name(requirement.name) not in found:
            needed(canonicalize_name(requirement.name), found)
    return found


def size_of(file: Path) -> int:
    # Bytecode is not part of what is downloaded, and depends on what was run.
    return file.stat().st_size if file.is_file() and file.suffix != ".pyc" else 0


def test_the_core_is_small() -> None:
    found = needed("completions-mw", {})
    # Installed in place, the package itself is a link.
    found["completions-mw"] = sum(map(size_of, (ROOT / "src").rglob("*")))
    assert {"pydantic", "httptools", "werkzeug"} <= found.keys()
    assert not {"openai", "anthropic", "botocore", "google-genai", "redis", "flask", "typer"} & found.keys()
    assert sum(found.values()) < MAX_BYTES, found
