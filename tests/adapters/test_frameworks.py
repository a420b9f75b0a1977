"""How a host app's settings are read, and what is said where its framework is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from completions_mw import ConfigurationError, Settings
from completions_mw.adapters.frameworks import settings_of
from tests.adapters.given import KEY, TOML, TREE, import_without, settings

SHAPES: dict[str, Callable[[Path], object]] = {
    "mapping": lambda file: TREE,
    "path": lambda file: file,
    "text": str,
    "settings": lambda file: settings(),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_settings_come_in_every_shape(tmp_path: Path, shape: Callable[[Path], object]) -> None:
    file = tmp_path / "completions.toml"
    file.write_text(TOML)
    tree = settings_of(shape(file), "COMPLETIONS_MW")
    assert isinstance(tree, Settings)
    assert [*tree.models] == ["m"]


def test_settings_that_are_there_already_are_taken_as_they_are() -> None:
    tree = settings()
    assert settings_of(tree, "COMPLETIONS_MW") is tree


@pytest.mark.parametrize("value", [None, 7, [KEY]], ids=["missing", "number", "list"])
def test_anything_else_is_named_but_not_shown(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^COMPLETIONS_MW: should be a mapping, the path of a TOML file, or a Settings$"):
        settings_of(value, "COMPLETIONS_MW")


@pytest.mark.parametrize("framework", ["flask", "starlette", "fastapi"])
def test_a_missing_framework_is_named_with_its_extra(framework: str) -> None:
    said = import_without(framework, f"completions_mw.adapters.{framework}")
    assert said == f"ImportError: completions_mw.adapters.{framework} needs {framework}: pip install 'completions-mw[{framework}]'"


def test_a_missing_django_is_named_with_its_extra() -> None:
    said = import_without("django", "completions_mw.adapters.django.urls")
    assert said == "ImportError: completions_mw.adapters.django needs django: pip install 'completions-mw[django]'"
