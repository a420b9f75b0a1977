"""`completions-mw check` and `--version`: what an operator asks before an app is started."""

from pathlib import Path

import pytest

from completions_mw import __version__
from tests.support.command_line import inside, process
from tests.support.process import free_port

GOOD = """
[providers.up]
api = "openai"
api_key = "sk-canary"
[models.m]
targets = ["up/a", "up/b"]
prices = { input = 1, output = 2 }
[models.bot]
[keys.k]
secret = "12345678"
models = ["m"]
budget = { usd = 1, period = "day" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    return tmp_path


def write(folder: Path, text: str) -> str:
    (folder / "completions.toml").write_text(text)
    return f"settings  {folder}/completions.toml\nmodel     m -> up/a, up/b\nmodel     bot -> a Python function of the app\n"


def test_settings_that_work(folder: Path) -> None:
    summary = write(folder, GOOD)
    rest = f"keys      1 in the settings\nlimits    memory://\nledger    SQLite, {folder}/completions.db\nok\n"
    assert inside("check") == (0, summary + rest, "")
    assert inside("check", "--config", "completions.toml").code == 0
    # Whoever checks is not always the app's own user.
    assert [file.name for file in folder.iterdir()] == ["completions.toml"]
    assert inside("keys", "create", "n").code == 0
    assert inside("check").out == summary + rest


def test_a_wire_format_of_the_app_is_taken_for_granted(folder: Path) -> None:
    custom = '[providers.own]\napi = "custom"\nbase_url = "https://own.test"\n[models.o]\ntargets = ["own/x"]\n'
    write(folder, f"{GOOD}{custom}prices = {{ input = 1, output = 2 }}\n")
    result = inside("check")
    assert (result.code, result.err) == (0, "")
    assert "model     o -> own/x\n" in result.out


def test_what_will_hardly_be_meant_is_a_warning(folder: Path) -> None:
    write(folder, GOOD + "[tenants.acme]\n[callers]\nbudget = { usd = 1, period = 'day' }\n")
    result = process("check", cwd=folder)
    assert (result.code, result.out.splitlines()[-1]) == (0, "ok")
    assert result.err == (
        "warning: models: no price for bot: callers with a budget get 403; "
        'set `prices`, `price_table = "genai-prices"` or `unpriced = "free"`\n'
        "warning: tenants: no key belongs to acme; a key says `tenant`, and a caller of `authenticate` may\n"
    )


def test_variables_replace_what_the_file_says(folder: Path) -> None:
    name, address = "COMPLETIONS_MW_STORES__LEDGER", f"sqlite:///{folder}/other.db"
    first, *models = write(folder, GOOD).splitlines()
    rest = ["keys      1 in the settings", "limits    memory://", f"ledger    SQLite, {folder}/other.db", "ok"]
    assert inside("check", env={name: address}).out.splitlines() == [first, f"settings  {name}", *models, *rest]
    assert inside("check", env={"COMPLETIONS_MW_PREFX": "/v1"}).err == "error: prefx: is not a field here; did you mean `prefix`?\n"


def test_variables_need_no_file(folder: Path) -> None:
    result = inside("check", env={"COMPLETIONS_MW_MODELS__BOT": "{}"})
    assert (result.code, result.out.splitlines()[0]) == (0, "settings  COMPLETIONS_MW_MODELS__BOT")


def test_nobody_has_a_key(folder: Path) -> None:
    hint = "warning: keys: there is none, so every answer over HTTP is 401, unless the app has a login (`authenticate`)\n"
    keyless = GOOD.partition("[keys.k]")[0] + "[stores]\nledger = 'sqlite:///keys.db'\n"
    write(folder, keyless)
    assert inside("check").err == hint
    assert inside("keys", "create", "n").code == 0
    assert inside("check").err == ""


WRONG = {
    "field": ("prefx = '/v1'", "error: prefx: is not a field here; did you mean `prefix`?\n"),
    "model": (GOOD.replace('["m"]', '["n"]'), "error: keys.k.models[0]: no such model; known are `m`, `bot`\n"),
    "useless key": (
        GOOD.replace('["m"]', '["bot"]'),
        "error: keys.k: can use no model, because there is a budget and no model that it may",
    ),
    "folder": (GOOD + "[stores]\nledger = 'sqlite:///none/x.db'", "error: stores.ledger: the folder {folder}/none is missing\n"),
    "strict": (
        GOOD + "[stores]\nledger = 'sqlite:///none/x.db'\nstrict = true",
        "error: stores.ledger: the folder {folder}/none is missing",
    ),
    "secret": (GOOD.replace("sk-canary", "${API_KEY}"), "error: providers.up.api_key: should be written `env:API_KEY`\n"),
}


@pytest.mark.parametrize(("text", "error"), WRONG.values(), ids=WRONG)
def test_settings_that_do_not_work(folder: Path, text: str, error: str) -> None:
    write(folder, text)
    result = inside("check")
    assert result.code == 1
    assert result.err.startswith(error.format(folder=folder))
    assert "ok" not in result.out.splitlines()


def test_a_store_that_does_not_answer(folder: Path) -> None:
    write(folder, f"{GOOD}[stores]\nadmission = 'redis://:canary@127.0.0.1:{free_port()}/0'\n")
    result = inside("check")
    assert (result.code, result.err) == (1, "error: stores.admission: Redis cannot be reached: ConnectionError\n")
    assert "limits    redis://\n" in result.out
    assert "canary" not in result.out + result.err


def test_a_ledger_that_does_not_answer(folder: Path) -> None:
    port = free_port()
    write(folder, f"{GOOD}[stores]\nledger = 'postgresql://me:canary@127.0.0.1:{port}/app'\n")
    cause = f"PostgreSQL: OperationalError (connection refused; host 127.0.0.1, port {port}, database app)"
    result = inside("check")
    assert (result.code, result.err) == (1, f"error: stores.ledger: {cause}\n")
    assert "canary" not in result.out


def test_a_cache_that_does_not_answer(folder: Path) -> None:
    address = f"redis://:canary@127.0.0.1:{free_port()}/0"
    unused = f"{GOOD}[stores]\ncache = '{address}'\n"
    write(folder, unused)
    assert inside("check").code == 0
    write(folder, f"{unused}[cache]\nenabled = true\n")
    result = inside("check")
    assert (result.code, result.err) == (1, "error: stores.cache: Redis cannot be reached: ConnectionError\n")
    assert "cache     redis://\n" in result.out
    assert "canary" not in result.out


def test_no_settings(folder: Path) -> None:
    assert inside("check") == (1, "", "error: no settings: give --config and a settings file\n")


def test_the_version() -> None:
    assert inside("--version") == (0, f"completions-mw {__version__}\n", "")
