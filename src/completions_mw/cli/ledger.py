"""Opens the ledger of an app, by its settings file or by an address. Other settings, which may need further secrets, are not read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr, ValidationError

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql import CallTimes, Database, ledger_on, open_database
from completions_mw.backends.sql.key_store import SqlKeyStore
from completions_mw.blocking import run_sync
from completions_mw.cli.errors import explained
from completions_mw.core.keys.service import KeyService
from completions_mw.core.ports import Ledger, StoreError
from completions_mw.errors import ConfigurationError
from completions_mw.settings import StoreSettings
from completions_mw.settings.errors import explain
from completions_mw.settings.secrets import DEFAULT_LEDGER_FILE, sqlite_file
from completions_mw.settings.sources import read_toml

_CALL_TIMEOUT: Final = 10.0
"""Seconds that a call to the database may take: longer than in an app, since an operator prefers waiting to repeating the command."""
_DEFAULT_FILE: Final = Path("completions.toml")
_LEDGER_EXAMPLE: Final = 'write `ledger = "sqlite:///completions.db"` under [stores]'


@contextmanager
def opened_keys(config: Path | None, ledger: str | None, *, may_create: bool = False) -> Iterator[KeyService]:
    """Open the keys in the ledger that `--config` or `--ledger` names, for a `with` block.

    Args:
        config: value of `--config`.
        ledger: value of `--ledger`.
        may_create: whether a missing SQLite file is created.

    Raises:
        ConfigurationError: no ledger is named, or its SQLite file is missing.
        StoreError: the database failed; the message says which database it is.
    """
    with _opened(config, ledger, may_create) as database:
        yield KeyService(SqlKeyStore(database), SYSTEM_CLOCK)


@contextmanager
def opened_ledger(config: Path | None, ledger: str | None) -> Iterator[Ledger]:
    """Open the ledger that `--config` or `--ledger` names, for a `with` block. A missing SQLite file is not created.

    Args:
        config: value of `--config`.
        ledger: value of `--ledger`.

    Raises:
        ConfigurationError: no ledger is named, or its SQLite file is missing.
        StoreError: the database failed; the message says which database it is.
    """
    with _opened(config, ledger, may_create=False) as database:
        yield ledger_on(database)


@contextmanager
def _opened(config: Path | None, ledger: str | None, may_create: bool) -> Iterator[Database]:
    address = address_of(config, ledger).get_secret_value()
    file = sqlite_file(address)
    if file is not None and not may_create and _is_missing(file):
        # Otherwise a misspelt path would look like an empty ledger.
        raise ConfigurationError(f"there is no file {file}; `completions-mw keys create` or the app creates it")
    database = open_database(address, blocking=True, clock=SYSTEM_CLOCK, times=CallTimes(_CALL_TIMEOUT))
    try:
        yield database
    except StoreError as error:
        raise StoreError(explained(error, address)) from error
    finally:
        run_sync(database.aclose())


def _is_missing(file: Path) -> bool:
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        # Opening the database gives the better error.
        return False
    return False


def address_of(config: Path | None, ledger: str | None) -> SecretStr:
    """Return the address of the ledger that `--config` or `--ledger` names.

    Raises:
        ConfigurationError: no ledger is named, or the ledger is in the memory of the app's process.
    """
    address = _checked(ledger, None, "--ledger") if ledger else _configured(config)
    if address.get_secret_value() == "memory://":
        raise ConfigurationError(f"stores.ledger: a ledger in memory is only visible in the app's own process; {_LEDGER_EXAMPLE}")
    return address


def _configured(config: Path | None) -> SecretStr:
    file = settings_file(config)
    if file is None:
        raise ConfigurationError(
            "no ledger: give --config and a settings file, or --ledger and an address such as sqlite:///completions.db"
        )
    tree = read_toml(file)
    stores = tree.get("stores", {})
    address = stores.get("ledger") if isinstance(stores, dict) else None
    allowances = [tree.get("callers"), *_rows(tree.get("keys")), *_rows(tree.get("tenants"))]
    if address is None and any(isinstance(allowance, dict) and allowance.get("budget") for allowance in allowances):
        # The app itself keeps budgets there by default.
        address = f"sqlite:///{DEFAULT_LEDGER_FILE}"
    if address is None:
        raise ConfigurationError(f"stores.ledger: is missing; {_LEDGER_EXAMPLE} in {file.absolute()}")
    return _checked(address, file.parent, "stores.ledger")


def settings_file(config: Path | None) -> Path | None:
    """Return the settings file that `--config` names, else ./completions.toml; None if there is none."""
    return config or (_DEFAULT_FILE if _DEFAULT_FILE.is_file() else None)


def _rows(table: Any) -> list[Any]:
    return list(table.values()) if isinstance(table, dict) else []


def _checked(address: Any, folder: Path | None, setting: str) -> SecretStr:
    try:
        found = StoreSettings.model_validate({"ledger": address}, context=folder).ledger
    except ValidationError as error:
        message = explain(error)
    else:
        if found is not None:
            return found
        message = "ledger: is missing"
    # Raised here and not in the handler: pydantic's error holds the address, which may hold a password.
    raise ConfigurationError(message.replace("ledger", setting, 1))
