"""Checks of the stores before the first request: for `stores.strict`, and for the command `completions-mw check`."""

import os
from collections.abc import Callable
from pathlib import Path

from completions_mw.blocking import run_sync
from completions_mw.core.ports import Clock, StoreError
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.backends import BlockingBackends
from completions_mw.gateway.stores import Stores
from completions_mw.settings import Settings
from completions_mw.settings.secrets import sqlite_file


def check_stores(settings: Settings, clock: Clock, ledger_text: Callable[[StoreError], str] = str) -> None:
    """Reach every store in the settings, over connections that are closed again, since a fork must not share them.

    Args:
        settings: all settings.
        clock: time.
        ledger_text: returns the text of an error of the ledger.

    Raises:
        ConfigurationError: a store does not answer, or is not set up as it must be.
    """
    if reason := ledger_fault(settings):
        raise ConfigurationError(f"stores.ledger: {reason}")
    stores = Stores(settings, BlockingBackends(), clock)
    try:
        faults = run_sync(stores.check(ledger_text))
    finally:
        run_sync(stores.aclose())
    if settings.stores.spool and not os.access(Path(settings.stores.spool).absolute().parent, os.W_OK):
        faults.append("stores.spool: its folder is not there, or cannot be written to")
    if faults:
        raise ConfigurationError("\n".join(faults))


def ledger_fault(settings: Settings) -> str | None:
    """Return why the ledger's SQLite file can be neither opened nor created; None if it can, or if the ledger is not a SQLite file."""
    file = None if settings.stores.ledger is None else sqlite_file(settings.stores.ledger.get_secret_value())
    if file is None:
        return None
    if not file.parent.is_dir():
        return f"the folder {file.parent} is missing"
    if file.is_dir():
        return f"{file} is a folder"
    # SQLite creates further files beside the database.
    unwritable = next((path for path in (file.parent, file) if path.exists() and not os.access(path, os.W_OK)), None)
    return None if unwritable is None else f"the {'file' if unwritable == file else 'folder'} {unwritable} cannot be written to"
