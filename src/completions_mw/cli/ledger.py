"""Find and open the ledger of an app, by its settings file or by an address; settings that need other secrets are not read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr, ValidationError

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql import Database, ledger_on, open_database
from completions_mw.backends.sql.key_store import SqlKeyStore
from completions_mw.blocking import run_sync
from completions_mw.cli.errors import explained
from completions_mw.core.keys.service import KeyService
from completions_mw.core.ports import Ledger, StoreError
from completions_mw.errors import ConfigurationError
from completions_mw.settings import StoreSettings
from completions_mw.settings.errors import explain
from completions_mw.settings.secrets import DEFAULT_LEDGER, sqlite_file
from completions_mw.settings.sources import read_toml

_TIMEOUT: Final = 10.0
"""Seconds that a call may take: an operator at a terminal would rather wait for a busy database than ask again."""
_DEFAULT: Final = Path("completions.toml")
_EXAMPLE: Final = 'write `ledger = "sqlite:///completions.db"` under [stores]'


@contextmanager
def opened_keys(config: Path | None, ledger: str | None, *, may_create: bool = False) -> Iterator[KeyService]:
    """Open the key store of the ledger that `--config` or `--ledger` names.

    Args:
        config: the settings file that was given.
        ledger: the address that was given.
        may_create: whether a SQLite file is made where there is none.

    Raises:
        ConfigurationError: there is none, and none may be made; or it is not clear which is meant.
        StoreError: the database failed; says which one it is.
    """
    with _opened(config, ledger, may_create) as database:
        yield KeyService(SqlKeyStore(database), SYSTEM_CLOCK)


@contextmanager
def opened_ledger(config: Path | None, ledger: str | None) -> Iterator[Ledger]:
    """Open the ledger that `--config` or `--ledger` names, and make no file.

    Args:
        config: the settings file that was given.
        ledger: the address that was given.

    Raises:
        ConfigurationError: there is none, or it is not clear which is meant.
        StoreError: the database failed; says which one it is.
    """
    with _opened(config, ledger, may_create=False) as database:
        yield ledger_on(database)


@contextmanager
def _opened(config: Path | None, ledger: str | None, may_create: bool) -> Iterator[Database]:
    address = address_of(config, ledger).get_secret_value()
    file = sqlite_file(address)
    if file is not None and not may_create and _is_missing(file):
        # A path with a slip in it would look like a ledger in which nothing is.
        raise ConfigurationError(f"there is no file {file}; `completions-mw keys create` makes it, and so does the app")
    database = open_database(address, blocking=True, clock=SYSTEM_CLOCK, timeout=_TIMEOUT)
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
        # Whatever it is, the database has a name for it.
        return False
    return False


def address_of(config: Path | None, ledger: str | None) -> SecretStr:
    """Return the address of the ledger that `--config` or `--ledger` names.

    Raises:
        ConfigurationError: there is none, or it is no place that another process can see.
    """
    address = _checked(ledger, None, "--ledger") if ledger else _configured(config)
    if address.get_secret_value() == "memory://":
        raise ConfigurationError(f"stores.ledger: what is in memory is in the app's own process; {_EXAMPLE}")
    return address


def _configured(config: Path | None) -> SecretStr:
    file = settings_file(config)
    if file is None:
        raise ConfigurationError("which ledger? Give --config and a settings file, or --ledger and an address as sqlite:///completions.db")
    tree = read_toml(file)
    stores = tree.get("stores", {})
    address = stores.get("ledger") if isinstance(stores, dict) else None
    if address is None and _has_budget(tree):
        # As the app itself does.
        address = f"sqlite:///{DEFAULT_LEDGER}"
    if address is None:
        raise ConfigurationError(f"stores.ledger: is missing; {_EXAMPLE} in {file.absolute()}")
    return _checked(address, file.parent, "stores.ledger")


def settings_file(config: Path | None) -> Path | None:
    """Return the settings file: the one that `--config` names, else ./completions.toml; None if there is none."""
    return config or (_DEFAULT if _DEFAULT.is_file() else None)


def _has_budget(tree: dict[str, Any]) -> bool:
    somebody = [tree.get("callers"), *_rows(tree.get("keys")), *_rows(tree.get("tenants"))]
    return any(isinstance(one, dict) and one.get("budget") for one in somebody)


def _rows(table: Any) -> list[Any]:
    return list(table.values()) if isinstance(table, dict) else []


def _checked(address: Any, folder: Path | None, place: str) -> SecretStr:
    try:
        found = StoreSettings.model_validate({"ledger": address}, context=folder).ledger
    except ValidationError as error:
        message = explain(error)
    else:
        if found is not None:
            return found
        message = "ledger: is missing"
    # Not within the handler: pydantic's error carries the address, which may hold a password.
    raise ConfigurationError(message.replace("ledger", place, 1))
