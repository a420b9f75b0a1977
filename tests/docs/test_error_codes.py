"""The contract lists every code that an error of the gateway can have."""

import ast
from collections.abc import Iterator
from pathlib import Path

from completions_mw.errors import ClientDisconnectedError
from tests.docs.pages import ROOT

CONTRACT = (ROOT / "docs" / "contract.md").read_text()
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
