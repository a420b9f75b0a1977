"""How a host app's settings are read, and what is said where its framework is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from completions_mw import AsyncGateway, ConfigurationError, Gateway, Settings
from completions_mw.adapters import asgi, fastapi, flask, starlette, wsgi
from completions_mw.adapters.support import settings_of
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


def test_what_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(ConfigurationError, match=r"^COMPLETIONS_MW: is not set; it should be a mapping, the path of a TOML file, or a S"):
        settings_of(None, "COMPLETIONS_MW")


@pytest.mark.parametrize("value", [7, [KEY]], ids=["number", "list"])
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


FOR_WSGI: dict[str, Callable[[Any], object]] = {
    "wsgi": lambda gateway: wsgi.CompletionsMiddleware(None, gateway),
    "flask": lambda gateway: flask.Completions(gateway=gateway),
}
FOR_ASGI: dict[str, Callable[[Any], object]] = {
    "asgi": lambda gateway: asgi.CompletionsMiddleware(None, gateway),
    "starlette": starlette.routes,
    "fastapi": fastapi.router,
}
NO_GATEWAY: dict[str, Callable[[], object]] = {"path": lambda: "completions.toml", "mapping": lambda: TREE, "settings": settings}


@pytest.mark.parametrize("mount", FOR_WSGI.values(), ids=FOR_WSGI)
@pytest.mark.parametrize("make", [*NO_GATEWAY.values(), lambda: AsyncGateway(settings())], ids=[*NO_GATEWAY, "async"])
def test_a_wsgi_app_needs_a_gateway(mount: Callable[[Any], object], make: Callable[[], object]) -> None:
    given = make()
    with pytest.raises(TypeError, match=rf"`Gateway\(Settings\.from_toml.*, not {type(given).__name__}$"):
        mount(given)


@pytest.mark.parametrize("mount", FOR_ASGI.values(), ids=FOR_ASGI)
@pytest.mark.parametrize("make", [*NO_GATEWAY.values(), lambda: Gateway(settings())], ids=[*NO_GATEWAY, "blocking"])
def test_an_asgi_app_needs_an_async_gateway(mount: Callable[[Any], object], make: Callable[[], object]) -> None:
    given = make()
    with pytest.raises(TypeError, match=rf"`AsyncGateway\(Settings\.from_toml.*, not {type(given).__name__}$"):
        mount(given)
