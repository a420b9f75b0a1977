"""Nothing is missing from the tables in which a reader looks things up: error codes, headers, log events, options, commands."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

import completions_mw
from completions_mw.adapters.django.gateways import SETTING_NAMES
from completions_mw.cli.app import app
from completions_mw.errors import ClientDisconnectedError
from completions_mw.gateway.options import GatewayOptions
from tests.docs.pages import PAGES, ROOT

DOCS = ROOT / "docs"
CONTRACT = (DOCS / "contract.md").read_text()
SOURCE = ROOT / "src" / "completions_mw"


def names(node: ast.expr) -> Iterator[str]:
    strings = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str))
    return (string for string in strings if string.isidentifier())


def codes(module: Path) -> Iterator[str]:
    """Yield the codes that the module names: as an argument, as an attribute of a class, or in a variable on its way there."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.keyword(arg="code", value=value):
                yield from names(value)
            case ast.Assign(targets=[ast.Name(id="code")], value=value):
                yield from names(value)


def test_the_contract_lists_every_code() -> None:
    found = {code for module in SOURCE.rglob("*.py") for code in codes(module)}
    assert {"invalid_api_key", "upstream_timeout", "unsupported_value"} < found
    # Only the log tells that a client has left.
    told = found - {ClientDisconnectedError.code}
    assert [code for code in sorted(told) if f"`{code}`" not in CONTRACT] == []


def test_the_contract_lists_every_header() -> None:
    core = "".join(module.read_text() for module in (SOURCE / "core").rglob("*.py"))
    found = set(re.findall(r'\("(x-[a-z-]+)", ', core))
    assert {"x-completions-target", "x-cache"} < found
    assert [header for header in sorted(found) if f"`{header}`" not in CONTRACT.lower()] == []


def test_the_page_on_events_lists_every_one() -> None:
    source = "".join(module.read_text() for module in SOURCE.rglob("*.py"))
    found = set(re.findall(r'(?:log_event\(\s*(?:[\w.]+),\s*|log_exception\(|noted\(|SetupWarning\()"([a-z_]+)"', source))
    assert {"request", "breaker_opened", "hook_failed", "store_degraded", "unpriced_models"} < found
    listed = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (.*?) \|", (DOCS / "events.md").read_text(), re.MULTILINE))))
    assert listed == found


def test_the_page_on_direct_calls_lists_every_option_of_gateways() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (?:`(COMPLETIONS_MW_\w+)` )?\|$", (DOCS / "direct.md").read_text(), re.MULTILINE)
    options = {option: setting for option, setting in rows if option in GatewayOptions.__annotations__}
    assert options.keys() == GatewayOptions.__annotations__.keys()
    assert {setting for setting in options.values() if setting} == {*SETTING_NAMES} - {"COMPLETIONS_MW"}


def test_the_page_on_keys_lists_every_command() -> None:
    listed = set(re.findall(r"`([a-z]+(?: [a-z]+)?)(?: [A-Z]+)?`", (DOCS / "keys.md").read_text()))
    assert [command for command in commands(get_command(app)) if command not in listed] == []


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield " ".join(path)
        return
    for name, inner in command.commands.items():
        yield from commands(inner, (*path, name))


def test_every_public_name_is_on_a_page() -> None:
    pages = "".join(page.read_text() for page in PAGES)
    assert [name for name in completions_mw.__all__ if not re.search(rf"\b{name}s?\b", pages)] == []
