"""Every block of code in README and docs, run as its reader would run it.

What a block is, its language and its first line say; `<!-- not run: why -->` above one is for what cannot be run here:

- `toml`: settings. The ones that begin with `# completions.toml` are whole, others belong into those of the first steps.
- `python` with `# app.py`: an app, which serves the model and the keys of the settings above it.
- `sh`, and `python` with `# client.py`: a client of the app above it; what it prints stands below, or at the lines that print it.
- `python` with `# test_app.py`: tests of the app above it.
- `python` without a file: a script, which prints what the comments at its lines say.
- `console`: commands that serve the app above, or that come to an end.
- `text`, `json`, `http`: what is read, not run.

The pages of Django, of the settings and of money are tested beside this.
"""

import re
import shlex
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from completions_mw import Settings
from tests.docs.pages import (
    ASGI_APP,
    BLOCKS,
    DJANGO,
    FIRST_STEPS,
    ROOT,
    SECRETS,
    WSGI_APP,
    above,
    ask_with_curl,
    assert_serves,
    assert_streams,
    name_of,
    project,
    run,
    run_script,
    started,
    write,
)
from tests.support.markdown import Block

SERVERS = {"flask", "gunicorn", "waitress-serve", "uvicorn", "hypercorn", "granian"}
DATA = {"text", "json", "http"}
MAX_EXCUSES = 3


def kind_of(block: Block) -> str | None:
    """Return what is done with a block; None if nobody knows."""
    match block.language, block.file:
        case language, _ if language in DATA:
            return "read"
        case _ if block.excuse:
            return "excused"
        case "python" | "console" | "sh", _ if block.page == DJANGO or (block.file or "").startswith("mysite/"):
            return "django"
        case "python", "app.py":
            return "app"
        case ("python", "client.py") | ("sh", _):
            return "client"
        case "python", "test_app.py":
            return "tests"
        case "python", None:
            return "script"
        case "toml" | "console" as language, _:
            return language
    return None


def of_kind(kind: str) -> list[Block]:
    return [block for block in BLOCKS if kind_of(block) == kind]


COMMANDS = [(block, line) for block in BLOCKS if block.language == "console" for line in block.code.splitlines()]
SERVING = [(block, line) for block, line in COMMANDS if shlex.split(line)[0] in SERVERS and kind_of(block) == "console"]


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert [name_of(block) for block in BLOCKS if kind_of(block) is None] == []


def test_few_blocks_are_excused() -> None:
    assert len(of_kind("excused")) <= MAX_EXCUSES


def app_of(block: Block, command: str) -> Block:
    """Return the app that a command serves."""
    is_async = {"uvicorn", "hypercorn", "asgi"} & {*shlex.split(command)}
    return above(block, "app.py", ASGI_APP if is_async else WSGI_APP)


def command_for(app: Block) -> str:
    """Return how an app is served: as a page says, else by a server of its kind."""
    for block, command in SERVING:
        if app_of(block, command) == app:
            return command
    name = "app:create_app()" if "def create_app(" in app.code and "\napp = " not in app.code else "app:app"
    return f"uvicorn {name}" if "AsyncGateway" in app.code else f"gunicorn --worker-class gthread --threads 8 '{name}'"


def with_app(app: Block, kind: str) -> list[Block]:
    return [block for block in of_kind(kind) if block.page == app.page and above(block, "app.py", WSGI_APP) == app]


@pytest.mark.parametrize("app", of_kind("app"), ids=name_of)
def test_an_app(app: Block, tmp_path: Path) -> None:
    project(app, tmp_path)
    with started(command_for(app), tmp_path) as url:
        if "Hello from the app." in app.code:
            assert requests.get(url, timeout=10).text == "Hello from the app."
        assert_serves(url)
        assert_streams(url)
        for client in with_app(app, "client"):
            run_client(client, tmp_path, url)


def run_client(block: Block, folder: Path, url: str) -> None:
    if block.language == "sh":
        ask_with_curl(block, folder, url)
    else:
        run_script(block, folder, url)


CLIENTS_OF_NO_APP = [block for block in of_kind("client") if not any(block in with_app(app, "client") for app in of_kind("app"))]


@pytest.mark.parametrize("block", CLIENTS_OF_NO_APP, ids=name_of)
def test_a_client_of_the_first_app(block: Block, tmp_path: Path) -> None:
    project(block, tmp_path)
    write(WSGI_APP, tmp_path)
    with started(command_for(WSGI_APP), tmp_path) as url:
        run_client(block, tmp_path, url)


@pytest.mark.parametrize("block", of_kind("tests"), ids=name_of)
def test_tests_of_an_app(block: Block, tmp_path: Path) -> None:
    project(block, tmp_path)
    write(above(block, "app.py", WSGI_APP), tmp_path)
    # What other plugins are installed is no business of the page.
    env = {**SECRETS, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_app.py"]
    assert re.search(r"\b[1-9]\d* passed", run(command, tmp_path, env))


@pytest.mark.parametrize("block", of_kind("script"), ids=name_of)
def test_a_script_prints_what_it_says(block: Block, tmp_path: Path) -> None:
    run_script(block, project(block, tmp_path))


OTHER_WAYS = [(block, command) for block, command in SERVING if command_for(app_of(block, command)) != command]
"""Commands that serve an app in another way than `test_an_app` does."""


@pytest.mark.parametrize(("block", "command"), OTHER_WAYS, ids=[line for _, line in OTHER_WAYS])
def test_a_command_that_serves(block: Block, command: str, tmp_path: Path) -> None:
    project(block, tmp_path)
    write(app_of(block, command), tmp_path)
    with started(command, tmp_path) as url:
        assert_serves(url)
        assert_streams(url)


@pytest.mark.parametrize("block", of_kind("console"), ids=name_of)
def test_commands_that_come_to_an_end(block: Block, tmp_path: Path) -> None:
    project(block, tmp_path)
    for line in block.code.splitlines():
        program, *arguments = shlex.split(line)
        if program == "completions-mw":
            run([str(Path(sys.executable).with_name(program)), *arguments], tmp_path)
        else:
            check_command(program, arguments)


def check_command(program: str, arguments: list[str]) -> None:
    """Check a command that is not run here."""
    if program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named = re.findall(r"\[([\w,]*)\]", " ".join(arguments))
        assert [extra for extra in ",".join(named).split(",") if extra and extra not in extras] == []
    elif program == "make":
        targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert arguments[0] in targets
    else:
        assert program in SERVERS


@pytest.mark.parametrize("block", of_kind("toml"), ids=name_of)
def test_settings_can_be_built(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", "postgresql://app@db.example/app")
    tree: dict[str, Any] = tomllib.loads(block.code)
    if block.file is None:
        tree = merged(tomllib.loads(FIRST_STEPS.code), tree)
    Settings.from_mapping(tree)


def merged(tree: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return `tree` with what `more` says beside or instead of it."""
    both = {name: merged(value, more[name]) for name, value in tree.items() if isinstance(value, dict) and isinstance(more.get(name), dict)}
    return {**tree, **more, **both}
