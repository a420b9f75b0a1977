import subprocess
import sys

import pytest

import completions_mw

HEAVY = {"aiohappyeyeballs", "httptools", "httpx2", "anyio", "asyncio", "werkzeug", "flask", "django", "starlette", "fastapi", "xllamacpp"}


def modules_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("name", completions_mw.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(completions_mw, name)
    assert value.__name__ == name
    assert name in dir(completions_mw)


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gatewey'"):
        _ = completions_mw.Gatewey  # type: ignore[attr-defined]


def test_a_star_import_gives_all_of_it() -> None:
    names: dict[str, object] = {}
    exec("from completions_mw import *", names)
    assert set(completions_mw.__all__) <= names.keys()


def test_importing_the_package_loads_next_to_nothing() -> None:
    assert not modules_after("import completions_mw") & {*HEAVY, "pydantic"}


def test_importing_all_public_names_loads_no_framework_and_no_http_client() -> None:
    assert not modules_after("from completions_mw import *") & HEAVY


@pytest.mark.parametrize("adapter", ["wsgi", "asgi"])
def test_the_plain_adapters_load_no_framework_and_no_http_client(adapter: str) -> None:
    assert not modules_after(f"import completions_mw.adapters.{adapter}") & (HEAVY - {"asyncio", "werkzeug"})
