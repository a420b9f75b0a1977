"""`completions-mw usage`: sums for people and for programs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql import ledger_on, open_database
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Entry, Ledger, Outcome, Tokens
from tests.support.command_line import Result, inside, process

HOSTILE = "m\n\x1b[31m[bold]"
COLUMNS = ["requests", "prompt", "completion", "cached", "reasoning", "USD", "estimated", "hits", "rate", "saved"]
REQUESTS = [
    # key, tenant, model, time, tokens, nano-dollars, estimated
    ("key_1", "acme", "m", "2026-11-01T00:00:00", Tokens(100, 10, 50, 5), 1_000_000_001, False),
    ("key_1", "acme", "m", "2026-11-01T23:59:59", Tokens(1, 2), 5, True),
    ("key_2", "acme", HOSTILE, "2026-11-02T00:00:00", Tokens(7, 8), 500_000_000, False),
    ("", "", "m", "2026-11-03T12:00:00", Tokens(), 0, True),
]
HIT = 3
"""Number of the request that the cache has answered."""


def settle(ledger: Ledger) -> None:
    for number, (key, tenant, model, start, tokens, cost, estimated) in enumerate(REQUESTS):
        started = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp() * 1000)
        entry = Entry(f"req_{number}", "key" if key else "app", key, tenant, model, False, started)
        saved = 2_000_000_003 if number == HIT else 0
        outcome = Outcome(200, None, "up/m", "stop", tokens, cost, estimated, None, 5, from_cache=number == HIT, saved=saved)
        run_sync(ledger.settle(entry, outcome))


@pytest.fixture
def address(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/ledger.db"
    database = open_database(address, blocking=True, clock=SYSTEM_CLOCK)
    settle(ledger_on(database))
    run_sync(database.aclose())
    return address


@pytest.fixture
def usage(address: str) -> Any:
    def usage(*arguments: str) -> Result:
        return inside("usage", *arguments, "--ledger", address)

    return usage


def groups(result: Result) -> dict[str, int]:
    return {row["group"]: row["requests"] for row in result.json}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("key", {"": 1, "key_1": 2, "key_2": 1}),
        ("tenant", {"": 1, "acme": 3}),
        ("model", {"m": 3, HOSTILE: 1}),
        ("day", {"2026-11-01": 2, "2026-11-02": 1, "2026-11-03": 1}),
    ],
)
def test_sums_by(usage: Any, by: str, expected: dict[str, int]) -> None:
    assert groups(usage("--by", by, "--json")) == expected


def test_all_of_a_row(usage: Any) -> None:
    (row,) = usage("--by", "key", "--key", "key_1", "--json").json
    assert row == {
        "group": "key_1",
        "requests": 2,
        "prompt_tokens": 101,
        "completion_tokens": 12,
        "cached_tokens": 50,
        "reasoning_tokens": 5,
        "cost_nano": 1_000_000_006,
        "cost": "1.000000006",
        "estimated": 1,
        "scope": "key",
        "from_cache": 0,
        "hit_rate": 0,
        "saved_nano": 0,
        "saved": "0.000000000",
    }


def test_answers_from_the_cache(usage: Any) -> None:
    (row,) = usage("--by", "model", "--model", "m", "--json").json
    assert {name: row[name] for name in ("requests", "from_cache", "hit_rate", "saved_nano", "saved", "cost_nano")} == {
        "requests": 3,
        "from_cache": 1,
        "hit_rate": 0.3333,
        "saved_nano": 2_000_000_003,
        "saved": "2.000000003",
        "cost_nano": 1_000_000_006,
    }


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        (("--since", "2026-11-02"), 2),
        (("--until", "2026-11-02"), 2),
        (("--since", "2026-11-01T23:59:59Z", "--until", "2026-11-02T01:00:00+01:00"), 1),
        (("--model", "m"), 3),
        (("--tenant", "acme", "--key", "key_2"), 1),
        (("--key", "key_9"), 0),
    ],
    ids=["since", "until", "offset", "model", "tenant and key", "nobody"],
)
def test_what_is_summed(usage: Any, options: tuple[str, ...], requests: int) -> None:
    assert sum(groups(usage("--by", "day", *options, "--json")).values()) == requests


def test_a_table_for_people(usage: Any) -> None:
    lines = [line.split() for line in usage("--by", "model").out.splitlines()]
    assert sorted(lines) == [
        ["m", "3", "101", "12", "50", "5", "1.000000006", "2", "1", "33%", "2.000000003"],
        [r"m\n\x1b[31m[bold]", "1", "7", "8", "0", "0", "0.500000000", "0", "0", "0%", "0.000000000"],
        ["model", *COLUMNS],
    ]


def test_a_table_of_keys_says_what_an_id_is(usage: Any) -> None:
    lines = [line.split("  ")[0].split() for line in usage("--by", "key").out.splitlines()]
    assert [line[0] for line in lines] == ["key", "(the", "key_1", "key_2"]
    assert "(none)" in usage("--by", "tenant").out


def test_nobody_has_asked(usage: Any) -> None:
    assert usage("--caller", "key_1") == (0, "", "warning: no such request has been recorded\n")
    assert usage("--key", "ada") == (0, "", "warning: no such request has been recorded; users of a login need --caller\n")


@pytest.mark.parametrize("text", ["yesterday", "2026-11-01T12:00:00", "2026-13-01", "20261101", ""])
@pytest.mark.parametrize("option", ["since", "until"])
def test_times_that_are_none(usage: Any, option: str, text: str) -> None:
    result = usage(f"--{option}", text)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"error: {option}: should be a day such as 2026-11-01, or a time with its offset from UTC")


def test_the_same_as_a_process(address: str, tmp_path: Path, usage: Any) -> None:
    assert process("usage", "--by", "tenant", "--json", "--ledger", address, cwd=tmp_path).json == usage("--by", "tenant", "--json").json
    assert process("usage", "--by", "colour", "--ledger", address, cwd=tmp_path).code == 2
