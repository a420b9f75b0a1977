"""What workers need, imported once: they are forked from a process that has imported this, holds nothing and has no threads."""

from importlib import import_module

from completions_mw import Gateway, Settings
from tests.kill9 import workers

for name in ("sql.postgres.database", "sql.postgres.ledger", "redis.blocking", "http.blocking"):
    import_module(f"completions_mw.backends.{name}")
Gateway(Settings.from_mapping({"models": {"words": {}}}), models={"words": workers.words})
