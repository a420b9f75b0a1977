"""The query of docs/stores.md, which takes stored keys from SQLite to another database."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from completions_mw import AuthenticationError, Gateway, Settings
from tests.docs.pages import on
from tests.support.command_line import inside

RULES: dict[str, Any] = {
    "tenant": "acme",
    "models": ["m"],
    "limits": {"requests": ["60/minute", "1000/day"], "concurrency": 2},
    "budget": {"usd": "10", "period": "month"},
    "max_cost": "0.5",
    "metadata": {"contact": "ada"},
    "expires_at": datetime(2099, 1, 31, tzinfo=UTC),
}


def gateway(ledger: str) -> Gateway:
    return Gateway(Settings(providers={"local": {"api": "echo"}}, models={"m": {"targets": ["local/x"]}}, stores={"ledger": ledger}))


def test_keys_keep_their_secrets_and_their_rules(tmp_path: Path) -> None:
    [query] = [block.code for block in on("docs/stores.md", "text") if block.code.startswith("SELECT")]
    old, new = tmp_path / "old.db", f"sqlite:///{tmp_path}/new.db"
    with gateway(f"sqlite:///{old}") as before:
        ruled, plain = before.keys.create("ruled", **RULES), before.keys.create("plain")
        rotated = before.keys.rotate(plain.key.id)
        before.keys.disable(before.keys.create("off").key.id)
        expected = {key.name: key for key in before.keys.list()}
    with closing(sqlite3.connect(old)) as database:
        (tmp_path / "keys.jsonl").write_text("\n".join(line for (line,) in database.execute(query)))
    # Any other database: PostgreSQL takes keys by the same command.
    assert inside("keys", "create", "other", "--ledger", new).code == 0
    assert inside("keys", "import", str(tmp_path / "keys.jsonl"), "--ledger", new).code == 0
    with gateway(new) as after:
        found = {key.name: key for key in after.keys.list() if key.name != "other"}
        assert found == {
            name: replace(key, id=found[name].id, created_at=found[name].created_at, public_ids=found[name].public_ids)
            for name, key in expected.items()
        }
        for secret in (ruled.secret, rotated.secret):
            assert after.models(key=secret).data
        with pytest.raises(AuthenticationError):
            after.models(key=plain.secret)
