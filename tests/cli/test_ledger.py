"""Which ledger the command line means, and what it says when there is none."""

from pathlib import Path

import pytest

from completions_mw import Settings
from tests.support.command_line import inside, process

WRITE = 'write `ledger = "sqlite:///completions.db"` under [stores]'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(folder: Path, ledger: str, name: str = "completions.toml") -> Path:
    file = folder / name
    file.write_text(f"[stores]\nledger = {ledger}\nadmission = 'env:NOT_SET'\n[providers.openai]\napi_key = 'env:NOT_SET'\n")
    return file


@pytest.mark.parametrize("how", ["here", "--config", "COMPLETIONS_MW_CONFIG", "--ledger", "COMPLETIONS_MW_STORES__LEDGER"])
def test_where_it_is_found(folder: Path, how: str) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    env, options = {}, []
    if how == "here":
        settings(folder, "'sqlite:///here.db'")
    elif how == "--config":
        options = ["--config", str(settings(elsewhere, "'sqlite:///here.db'", "other.toml"))]
    elif how == "COMPLETIONS_MW_CONFIG":
        env = {how: str(settings(elsewhere, "'sqlite:///here.db'", "other.toml"))}
    else:
        settings(folder, "'sqlite:///wrong.db'")
        options, env = ([how, "sqlite:///here.db"], {}) if how == "--ledger" else ([], {how: "sqlite:///here.db"})
    assert inside("keys", "create", "n", *options, env=env).code == 0
    expected = elsewhere if "CONFIG" in how.upper() else folder
    assert [file.relative_to(folder) for file in folder.rglob("*.db")] == [(expected / "here.db").relative_to(folder)]


def test_an_address_from_the_environment_or_a_file(folder: Path) -> None:
    settings(folder, "'env:MY_LEDGER'")
    (folder / "address").write_text("sqlite:///b.db\n")
    assert inside("keys", "create", "n", env={"MY_LEDGER": "sqlite:///a.db"}).code == 0
    assert inside("keys", "create", "n", "--ledger", "file:address").code == 0
    assert (folder / "a.db").is_file()
    assert (folder / "b.db").is_file()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "no ledger: give --config and a settings file, or --ledger and an address such as sqlite:///completions.db"),
        ("", f"stores.ledger: is missing; {WRITE} in "),
        ("stores = 5", f"stores.ledger: is missing; {WRITE} in "),
        ("[stores]\nledger = 'memory://'", f"stores.ledger: a ledger in memory is only visible in the app's own process; {WRITE}"),
        ("[stores]\nledger = 'mysql://canary@host'", "stores.ledger: should be memory://, sqlite://…, postgresql://…"),
        ("[stores]\nledger = 'env:NOT_SET'", "stores.ledger: the environment variable NOT_SET is not set"),
        ("[stores]\nledger = 5", "stores.ledger: should be text"),
        ("[stores", "is not TOML"),
    ],
    ids=["no file", "empty", "no table", "memory", "scheme", "variable", "number", "no TOML"],
)
def test_no_ledger(folder: Path, content: str | None, text: str) -> None:
    if content is not None:
        (folder / "completions.toml").write_text(content)
    for command in (("keys", "list"), ("usage", "--json")):
        result = inside(*command)
        assert (result.code, result.out) == (1, "")
        assert text in result.err
        assert result.err.startswith("error: ")
        assert result.err.count("\n") == 1
        assert "canary" not in result.err


@pytest.mark.parametrize("somebody", ["callers", "keys.a", "tenants.t"])
@pytest.mark.parametrize("here", [True, False], ids=["here", "elsewhere"])
def test_the_apps_own_ledger_is_found_where_none_is_named(folder: Path, somebody: str, here: bool) -> None:
    place = folder if here else folder / "elsewhere"
    place.mkdir(exist_ok=True)
    file = place / "completions.toml"
    secret = "secret = '12345678'" if somebody == "keys.a" else ""
    file.write_text(f"[{somebody}]\n{secret}\nbudget = {{ usd = '1', period = 'day' }}\n")
    app = Settings.from_toml(file).stores.ledger
    assert app is not None
    options = () if here else ("--config", str(file))
    (created,) = [inside("keys", "create", "n", *options, "--json").json]
    created.pop("secret")
    assert inside("keys", "list", "--ledger", app.get_secret_value(), "--json").json == [created]
    assert [found.parent for found in folder.rglob("completions.db")] == [place]


def test_an_address_that_is_none() -> None:
    result = inside("keys", "list", "--ledger", "mysql://canary@host/db")
    assert (result.code, result.err) == (1, "error: --ledger: should be memory://, sqlite://…, postgresql://…\n")


def test_a_settings_file_that_is_not_there(folder: Path) -> None:
    result = inside("keys", "list", "--config", "none.toml")
    assert (result.code, result.err) == (1, f"error: {folder}/none.toml: cannot be read: No such file or directory\n")


@pytest.mark.parametrize(
    "command",
    ["keys list", "keys show k", "keys disable k", "keys enable k", "keys rotate k", "keys update k --name n", "usage"],
)
@pytest.mark.parametrize("place", ["none.db", "none/none.db", "address/none.db"])
def test_a_database_that_is_not_there(folder: Path, command: str, place: str) -> None:
    (folder / "address").write_text(f"sqlite:///{place}")
    result = inside(*command.split(), "--ledger", "file:address")
    text = f"error: there is no file {folder}/{place}; `completions-mw keys create` or the app creates it\n"
    assert result == (1, "", text)
    assert [file.name for file in folder.iterdir()] == ["address"]


def test_an_import_makes_the_database(folder: Path) -> None:
    (imported,) = inside("keys", "import", "-", "--ledger", "sqlite:///new.db", "--json", stdin='{"name": "n", "secret": "12345678"}').json
    assert inside("keys", "list", "--ledger", "sqlite:///new.db", "--json").json == [imported]


def test_a_ledger_that_is_no_database(folder: Path) -> None:
    (folder / "ledger.db").write_bytes(b"canary" * 2000)
    result = inside("keys", "list", "--ledger", "sqlite:///ledger.db")
    assert result == (1, "", f"error: SQLite: SQLITE_NOTADB (file {folder}/ledger.db)\n")
    assert (folder / "ledger.db").read_bytes() == b"canary" * 2000


BLOCKED = """
import sys
sys.modules[sys.argv.pop(1)] = None
from completions_mw.cli import main
main()
"""


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra(tmp_path: Path, missing: str) -> None:
    result = process(missing, "keys", "list", cwd=tmp_path, python=("-c", BLOCKED))
    text = "completions-mw: the command line needs typer and rich: pip install 'completions-mw[cli]'\n"
    assert result == (2, "", text)


def test_what_else_is_missing_is_told(tmp_path: Path) -> None:
    result = process("pydantic", "keys", "list", cwd=tmp_path, python=("-c", BLOCKED))
    assert result.code == 1
    assert "ModuleNotFoundError" in result.err
    assert "completions-mw[cli]" not in result.err
