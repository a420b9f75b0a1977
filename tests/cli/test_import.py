"""`completions-mw keys import`: all of a file or nothing, each wrong line named, no secret shown."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Result, inside

ROWS = [
    {"name": "a", "secret": "canary-secret-a", "tenant": "acme", "limits": {"requests": "60/minute"}, "models": ["m"]},
    {"name": "b", "secret_sha256": sha256(b"canary-secret-b").hexdigest(), "budget": {"usd": 5, "period": "total"}, "disabled": True},
    {"name": "c", "secret": "canary-secret-c", "metadata": {"k": "v"}, "expires_at": "2027-01-31T00:00:00Z", "max_cost": 0.5},
]
LINES = "\n".join(map(json.dumps, ROWS))


@pytest.fixture
def keys(tmp_path: Path) -> Any:
    def keys(*arguments: str, stdin: str | bytes = "") -> Result:
        return inside("keys", *arguments, "--ledger", f"sqlite:///{tmp_path}/ledger.db", stdin=stdin)

    return keys


@pytest.mark.parametrize(
    "text", [LINES, f"\ufeff\n{LINES}\r\n\n", json.dumps(ROWS), json.dumps(ROWS, indent=2)], ids=["lines", "BOM", "list", "indented"]
)
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_an_import(keys: Any, tmp_path: Path, text: str, source: str) -> None:
    (tmp_path / "keys.json").write_text(text)
    file = "-" if source == "stdin" else str(tmp_path / "keys.json")
    imported = keys("import", file, "--json", stdin=text).json
    assert imported == sorted(keys("list", "--json").json, key=lambda key: key["name"])
    assert [key["name"] for key in imported] == ["a", "b", "c"]
    assert [key["tenant"] for key in imported] == ["acme", None, None]
    assert [key["disabled"] for key in imported] == [False, True, False]
    assert (imported[1]["budget"], imported[2]["max_cost"]) == ({"usd": "5", "period": "total"}, "0.5")
    assert "canary" not in json.dumps(imported)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (f'{LINES}\n{{"name": "canary"', ["line 4: is not JSON, at line 1, column "]),
        (f"{LINES}\n5\n\nnull", ["line 4: should be an object", "line 6: should be an object"]),
        (f"{LINES}\n{'[' * 100_000}", ["line 4: is not JSON that can be read"]),
        ('{"name": "n"}', ["line 1: secret: should be there, or `secret_sha256`, and not both"]),
        ('[{"secret": "canary-x"}]', ["item 1: name: is missing"]),
        ('[{"name": "n", "secret": "canary-x"}', ["the file: is not JSON, at line 1, column "]),
        (
            '{"name": "", "secret": "canary", "limits": {"requests": "canary"}}',
            [
                "line 1: name: should be 1 to 256 characters",
                "line 1: limits.requests: should be a rate",
                "line 1: secret: should be 8 to 505",
            ],
        ),
        ('{"name": "n", "secret": "canary-x", "max_cost": NaN}', ["line 1: max_cost: should be a finite number"]),
        ('{"name": "n", "sekret": "canary-x"}', ["line 1: sekret: is not a field here; did you mean `secret`?"]),
        (f"{LINES}\n{json.dumps(ROWS[0])}", ["line 4: has the same secret as line 1"]),
        (f'{LINES}\n{{"name": "n", "secret": "canary-secret-b"}}', ["line 4: has the same secret as line 2"]),
    ],
    ids=["cut", "no object", "deep", "no secret", "no name", "no list", "many", "NaN", "unknown field", "twin", "twin of a digest"],
)
def test_nothing_is_imported(keys: Any, text: str, faults: list[str]) -> None:
    keys("create", "there before")
    result = keys("import", "-", stdin=text)
    lines = result.err.splitlines()
    assert (result.code, result.out, lines[-1]) == (1, "", "error: nothing was imported")
    assert len(lines) == len(faults) + 1
    assert all(line.startswith(f"error: {fault}") for line, fault in zip(lines, faults, strict=False))
    assert "canary" not in result.err
    assert [key["name"] for key in keys("list", "--json").json] == ["there before"]


def test_a_secret_that_is_stored(keys: Any) -> None:
    (owner, *_) = keys("import", "-", "--json", stdin=json.dumps(ROWS[1])).json
    result = keys("import", "-", stdin=f'{json.dumps(ROWS[0])}\n{{"name": "n", "secret": "canary-secret-b"}}')
    assert result.err.splitlines() == [f"error: line 2: {owner['id']} has this secret already", "error: nothing was imported"]
    assert len(keys("list", "--json").json) == 1


def test_a_file_that_cannot_be_read(keys: Any, tmp_path: Path) -> None:
    assert keys("import", str(tmp_path / "none\n.json")).err.endswith(r"none\n.json: cannot be read: No such file or directory" + "\n")
    (tmp_path / "latin").write_bytes(b'{"name": "\xff"}')
    assert keys("import", str(tmp_path / "latin")).err.endswith("latin: is not text in UTF-8\n")
    assert keys("import", "-", stdin=b"\xff\xfe").err == "error: -: is not text in UTF-8\n"


@pytest.mark.parametrize("text", ["", "\ufeff\n \n", "[]"], ids=["empty", "blank", "list"])
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["table", "JSON"])
def test_nothing_in_it(keys: Any, tmp_path: Path, text: str, options: tuple[str, ...]) -> None:
    assert keys("import", "-", *options, stdin=text) == (1, "", "error: -: holds no keys\n")
    (tmp_path / "keys.json").write_text(text)
    assert keys("import", str(tmp_path / "keys.json"), *options) == (1, "", f"error: {tmp_path}/keys.json: holds no keys\n")
