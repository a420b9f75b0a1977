"""What must not stand in the source, whoever writes it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import completions_mw

SOURCE = Path(completions_mw.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

NAMES = {"eval", "exec", "compile", "__import__", "print", "breakpoint", "input"}
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "ctypes", "telnetlib", "xmlrpc", "imp"}
SHELLS = {("os", "system"), ("os", "popen"), ("os", "fork"), ("os", "execv"), ("os", "spawnl"), ("asyncio", "create_subprocess_shell")}
CLOCKS = {("time", "time"), ("time", "monotonic"), ("time", "perf_counter"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
RANDOM = {("random", name) for name in ("random", "choice", "randint", "getrandbits", "randbytes")}
SQL = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "CREATE ", "DROP ", "ALTER ", "PRAGMA ")
UNSAFE_TLS = {"_create_unverified_context", "CERT_NONE"}

ALLOWED = {
    "backends/clock.py": {"time.time", "time.monotonic"},
    # A PRAGMA takes no parameters; these are numbers and names of ours.
    "backends/sql/sqlite/file.py": {"SQL in an f-string"},
    "backends/sql/sqlite/schema.py": {"SQL in an f-string"},
}


def constructs(tree: ast.AST) -> Iterator[str]:
    """Yield everything in `tree` that needs an exception."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in NAMES:
                yield f"{name}()"
            case ast.Import(names=names):
                yield from (f"import {name}" for name in _roots(*(alias.name for alias in names)))
            case ast.ImportFrom(module=str(module), level=0):
                yield from (f"import {name}" for name in _roots(module))
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if (owner, name) in SHELLS | CLOCKS | RANDOM:
                yield f"{owner}.{name}"
            case ast.Attribute(attr=name) if name in UNSAFE_TLS:
                yield name
            case ast.keyword(arg="verify" | "check_hostname", value=ast.Constant(value=False)):
                yield "verify=False"
            case ast.keyword(arg="shell" | "trust_env" | "follow_redirects", value=ast.Constant(value=True)):
                yield f"{node.arg}=True"
            case ast.Assign(targets=[ast.Attribute(attr="check_hostname" | "verify_mode")]):
                yield "check_hostname"
            case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]) if text.lstrip().upper().startswith(SQL):
                yield "SQL in an f-string"


def _roots(*modules: str) -> list[str]:
    return [module for module in modules if module.partition(".")[0] in MODULES | {"subprocess", "random"}]


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(SOURCE)) for file in FILES])
def test_forbidden_constructs(file: Path) -> None:
    assert set(constructs(ast.parse(file.read_bytes()))) == ALLOWED.get(str(file.relative_to(SOURCE)), set())


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("eval('1')", "eval()"),
        ("import os.path, pickle", "import pickle"),
        ("from subprocess import run", "import subprocess"),
        ("import time\ntime.time()", "time.time"),
        ("clock = time.monotonic", "time.monotonic"),
        ("datetime.now(UTC)", "datetime.now"),
        ("client(verify=False)", "verify=False"),
        ("run('ls', shell=True)", "shell=True"),
        ("context.check_hostname = False", "check_hostname"),
        ("ssl._create_unverified_context()", "_create_unverified_context"),
        ("f'select {x} from y'", "SQL in an f-string"),
        ("print(1)", "print()"),
    ],
)
def test_the_search_finds(code: str, found: str) -> None:
    assert list(constructs(ast.parse(code))) == [found]
