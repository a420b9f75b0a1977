"""From an address to a database."""

import sqlite3

import pytest

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql.opening import open_database
from completions_mw.errors import ConfigurationError


def test_an_old_sqlite_is_told_before_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(ConfigurationError, match=r"^stores\.ledger: SQLite 3\.37\.0 or newer is needed; Python has "):
        open_database("memory://", blocking=True, clock=SYSTEM_CLOCK)
