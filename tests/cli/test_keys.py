"""`completions-mw keys`: what people and programs read, and what they are told when something is wrong."""

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Result, inside, process, terminal

ALL_RULES = (
    *("--tenant", "acme", "--model", "gpt-3.5-turbo", "--model", "m", "--requests", "60/minute", "--requests", "1000/day"),
    *("--tokens", "100000/minute", "--concurrency", "8", "--budget", "10.00", "--period", "month", "--max-cost", "0.25"),
    *("--metadata", "owner=ann", "--metadata", "note=a=b", "--expires", "2027-01-31T00:00:00Z"),
)
LIMITS = {"requests": ["60/minute", "1000/day"], "tokens": ["100000/minute"], "concurrency": 8}


@pytest.fixture
def keys(tmp_path: Path) -> Any:
    def keys(*arguments: str, stdin: str = "") -> Result:
        return inside("keys", *arguments, "--ledger", f"sqlite:///{tmp_path}/ledger.db", stdin=stdin)

    return keys


def test_the_life_of_a_key(tmp_path: Path) -> None:
    (tmp_path / "completions.toml").write_text('[stores]\nledger = "sqlite:///ledger.db"\n[providers.up]\napi_key = "env:NOT_SET"\n')

    def keys(*arguments: str) -> Result:
        return process("keys", *arguments, cwd=tmp_path)

    created = keys("create", "Team A", *ALL_RULES, "--json").json
    id, secret = created["id"], created.pop("secret")
    assert re.fullmatch(rf"sk-cmw-{created['public_ids'][0]}-[A-Za-z0-9]{{43}}", secret)
    assert keys("list", "--json").json == [created]
    rotated = keys("rotate", id, "--overlap", "1h", "--json").json
    assert rotated.pop("secret") != secret
    assert rotated == {**created, "public_ids": [rotated["public_ids"][0], *created["public_ids"]]}
    assert keys("disable", rotated["public_ids"][0], "--json").json == {**rotated, "disabled": True}
    assert (tmp_path / "ledger.db").is_file()


def test_all_of_a_key(keys: Any) -> None:
    created = keys("create", "Team A", *ALL_RULES, "--json").json
    assert {name: value for name, value in created.items() if name not in ("id", "public_ids", "created_at", "secret")} == {
        "name": "Team A",
        "tenant": "acme",
        "models": ["gpt-3.5-turbo", "m"],
        "limits": LIMITS,
        "budget": {"usd": "10.00", "period": "month"},
        "max_cost": "0.25",
        "metadata": {"owner": "ann", "note": "a=b"},
        "disabled": False,
        "expires_at": "2027-01-31T00:00:00Z",
    }


def test_disabled_and_enabled(keys: Any) -> None:
    created = keys("create", "Team A", "--tenant", "acme", "--json").json
    created.pop("secret")
    assert keys("disable", created["id"], "--json").json == {**created, "disabled": True}
    assert keys("list", "--tenant", "acme", "--json").json == [{**created, "disabled": True}]
    assert keys("enable", created["id"], "--json").json == created == keys("show", created["public_ids"][0], "--json").json
    assert keys("list", "--tenant", "acm", "--json").json == []


def test_the_secret_is_shown_once(keys: Any) -> None:
    created = keys("create", "Team A")
    secret = re.search(r"^secret  (sk-cmw-\S+)$", created.out, re.MULTILINE)
    id = re.search(r"^key     (key_\w+)$", created.out, re.MULTILINE)
    assert secret
    assert id
    assert "will not be shown again" in created.out
    rotated = keys("rotate", id[1])
    assert "sk-cmw-" in rotated.out
    assert "will not be shown again" in rotated.out
    for command in (("list",), ("show", id[1]), ("list", "--json"), ("show", id[1], "--json"), ("disable", id[1])):
        found = keys(*command)
        assert found.code == 0
        assert "sk-cmw-" not in found.out
        assert id[1] in found.out


def test_tables_for_people(keys: Any) -> None:
    keys("create", "Team A", *ALL_RULES)
    shown = re.sub(r"\s+", " ", keys("show", keys("list", "--json").json[0]["id"]).out)
    for words in ("name Team A", "tenant acme", "state active", "models gpt-3.5-turbo, m", "budget 10.00 USD / month", "max cost 0.25 USD"):
        assert words in shown
    assert "60/minute (requests), 1000/day (requests), 100000/minute (tokens), 8 at once" in shown
    assert "expires 2027-01-31T00:00:00Z" in shown


@pytest.mark.parametrize("width", [70, 80, 200])
def test_a_terminal_cuts_nothing(keys: Any, tmp_path: Path, width: int) -> None:
    created = keys("create", "a-long-name-" * 20, *ALL_RULES, "--json").json
    listed = terminal("keys", "list", "--ledger", f"sqlite:///{tmp_path}/ledger.db", width=width)
    assert created["id"] in listed
    assert created["public_ids"][0] in listed
    assert max(map(len, listed.splitlines())) <= width
    assert "…" not in listed
    assert listed.count("a") >= created["name"].count("a")


def test_a_pipe_gets_a_line_for_each_key(keys: Any) -> None:
    created = keys("create", "a-long-name-" * 20, *ALL_RULES, "--json").json
    (_, line) = keys("list").out.splitlines()
    assert all(part in line for part in (created["id"], created["public_ids"][0], created["name"], "8 at once", "10.00 USD / month"))


def test_states(keys: Any) -> None:
    keys("create", "old", "--expires", "2020-01-01T00:00:00Z")
    keys("create", "new")
    keys("disable", keys("create", "off", "--json").json["id"])
    assert [line.split()[-1] for line in keys("list").out.splitlines()] == ["state", "expired", "active", "disabled"]


def test_an_update_changes_the_parts_that_are_given(keys: Any) -> None:
    created = keys("create", "Team A", *ALL_RULES, "--json").json
    created.pop("secret")
    options = ("--name", "Team B", "--tokens", "5/hour", "--budget", "20", "--metadata", "room=7", "--model", "other")
    updated = keys("update", created["id"], *options, "--json").json
    assert updated == {
        **created,
        "name": "Team B",
        "limits": {**LIMITS, "tokens": ["5/hour"]},
        "budget": {"usd": "20", "period": "month"},
        "metadata": {"owner": "ann", "note": "a=b", "room": "7"},
        "models": ["other"],
    }


def test_an_update_takes_rules_away(keys: Any) -> None:
    created = keys("create", "Team A", *ALL_RULES, "--json").json
    cleared = [part for rule in ("tenant", "models", "budget", "max-cost", "metadata", "expires", "limits") for part in ("--clear", rule)]
    updated = keys("update", created["id"], *cleared, "--requests", "5/hour", "--json").json
    assert updated["limits"] == {"requests": ["5/hour"], "tokens": [], "concurrency": None}
    nothing = [updated[name] for name in ("models", "budget", "max_cost", "metadata", "expires_at")]
    assert nothing == [None, None, None, {}, None]
    assert updated["tenant"] is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("create", ""), "error: name: should be 1 to 256 characters\n"),
        (("create", "n", "--tenant", ""), "error: tenant: should be 1 to 256 characters\n"),
        (("create", "n", "--requests", "often"), "error: limits.requests: should be a rate such as"),
        (("create", "n", "--concurrency", "many"), "error: limits.concurrency: should be a valid integer"),
        (("create", "n", "--budget", "5"), "error: budget.period: is missing; give --period beside --budget\n"),
        (("create", "n", "--period", "month"), "error: budget.usd: is missing; give --budget beside --period\n"),
        (("create", "n", "--budget", "5", "--period", "year"), "error: budget.period: should be 'hour', 'day'"),
        (("create", "n", "--max-cost", "much"), "error: max_cost: should be a valid decimal\n"),
        (("create", "n", "--metadata", "note"), "error: metadata: should be name=value\n"),
        (("create", "n", "--expires", "tomorrow"), "error: expires_at: should be a date and time with its offset from UTC"),
        (("show", "key_none"), "error: there is no key with this id or public id\n"),
        (("rotate", "key_none"), "error: there is no key with this id or public id\n"),
        (
            ("rotate", "key_none", "--overlap", "soon"),
            "error: overlap: should be a time such as 90s, 30m, 24h or 7d, or a number of seconds\n",
        ),
        (("rotate", "key_none", "--overlap", ""), "error: overlap: should be a time such as 90s, 30m, 24h or 7d, or a number of seconds\n"),
        (("rotate", "key_none", "--overlap", "999d"), "error: overlap: should be from 0 seconds to 366 days\n"),
        (("update", "key_none", "--name", "n"), "error: there is no key with this id or public id\n"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be(keys: Any, arguments: tuple[str, ...], text: str) -> None:
    keys("create", "there before")
    for as_json in ((), ("--json",)):
        result = keys(*arguments, *as_json)
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith(text)
    assert [key["name"] for key in keys("list", "--json").json] == ["there before"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "nothing to change; `completions-mw keys update --help` lists the options"),
        (("--budget", "5"), "budget.period: is missing; give --period beside --budget"),
        (("--period", "day", "--clear", "budget"), "budget.usd: is missing; give --budget beside --period"),
    ],
    ids=["nothing", "--budget", "--period"],
)
def test_an_update_that_cannot_be(keys: Any, options: tuple[str, ...], text: str) -> None:
    created = keys("create", "n", "--json").json
    created.pop("secret")
    assert keys("update", created["id"], *options) == (1, "", f"error: {text}\n")
    assert keys("show", created["id"], "--json").json == created


@pytest.mark.parametrize(("overlap", "seconds"), [("3600", 3600), ("0", 0), ("2m", 120)])
def test_for_how_long_the_old_secret_is_valid(keys: Any, tmp_path: Path, overlap: str, seconds: int) -> None:
    created = keys("create", "n", "--json").json
    rotated = keys("rotate", created["id"], "--overlap", overlap, "--json").json
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
        ends = dict(database.execute("SELECT public_id, expires_at FROM secrets"))
        ((start,),) = database.execute("SELECT created_at FROM secrets WHERE public_id = ?", rotated["public_ids"][:1])
    assert ends == {rotated["public_ids"][0]: None, created["public_ids"][0]: pytest.approx(start + seconds, abs=0.001)}


def test_all_faults_at_once(keys: Any) -> None:
    result = keys("create", "n", "--max-cost", "x", "--tokens", "x", "--model", "a b")
    assert [line.split(": ")[:2] for line in result.err.splitlines()] == [
        ["error", "models[0]"],
        ["error", "limits.tokens"],
        ["error", "max_cost"],
    ]


HOSTILE = "a\nb\r\x1b[31mred\x1b[0m\x07[bold]markup[/bold]:smile:\u202egnp\x9b1m\t\u2028"


def test_names_cannot_speak_to_a_terminal(keys: Any) -> None:
    created = keys("create", HOSTILE, "--tenant", HOSTILE, "--metadata", f"{HOSTILE}={HOSTILE}", "--json")
    assert created.json["name"] == created.json["tenant"] == HOSTILE
    assert created.json["metadata"] == {HOSTILE: HOSTILE}
    id = created.json["id"]
    outputs = [keys("list").out, keys("show", id).out, keys("rotate", id).out, keys("list", "--json").out, created.out]
    for output in outputs:
        assert all(char.isprintable() or char == "\n" for char in output)
        assert "[bold]markup[/bold]" in re.sub(r"\s", "", output)
        assert ":smile:" in re.sub(r"\s", "", output)
    assert r"a\nb\r\x1b[31mred\x1b[0m" in outputs[2]


def test_wrong_usage_is_two(keys: Any) -> None:
    assert keys("create").code == 2
    assert keys("update", "key_1", "--clear", "everything").code == 2
    assert inside("frobnicate").code == 2


def test_help_names_every_command() -> None:
    text = inside("keys", "--help").out
    assert all(command in text for command in ("create", "list", "show", "disable", "enable", "rotate", "update", "import"))
    assert "usage" in inside("--help").out


def test_models_that_the_settings_do_not_have_are_told_of(tmp_path: Path) -> None:
    file = tmp_path / "completions.toml"
    file.write_text('[stores]\nledger = "sqlite:///ledger.db"\n[models."gpt-4o"]\n')
    warning = f"warning: there is no model gpt-4 in {file}; did you mean `gpt-4o`?\n"
    config = ("--config", str(file))
    row = '{"name": "n", "secret": "12345678", "models": ["gpt-4"]}'
    created = inside("keys", "create", "n", "--model", "gpt-4", *config)
    assert (created.code, created.err) == (0, warning)
    assert inside("keys", "import", "-", *config, stdin=row).err == warning
    id = inside("keys", "list", "--json", *config).json[0]["id"]
    assert inside("keys", "update", id, "--model", "gpt-4", *config).err == warning
    assert inside("keys", "update", id, "--model", "gpt-4o", *config).err == ""
    file.write_text('[stores]\nledger = "sqlite:///ledger.db"\n')
    assert inside("keys", "create", "n", "--model", "gpt-4", *config).err == ""
    elsewhere = ("--ledger", f"sqlite:///{tmp_path}/ledger.db")
    assert inside("keys", "create", "n", "--model", "gpt-4", *elsewhere).err == ""
