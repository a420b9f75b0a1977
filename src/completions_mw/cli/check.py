"""`completions-mw check`."""

import logging
from collections.abc import Iterator
from pathlib import Path

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.cli.ledger import settings_file
from completions_mw.cli.options import Config
from completions_mw.cli.output import warn, write_lines
from completions_mw.core.ports import ModelFunction
from completions_mw.core.telemetry.log import event_log
from completions_mw.errors import ConfigurationError
from completions_mw.gateway import Gateway
from completions_mw.gateway.store_checks import check_stores, ledger_fault
from completions_mw.settings import Settings
from completions_mw.settings.secrets import sqlite_file


def check(config: Config = None) -> None:
    """Check the settings file: build a gateway from it, and reach its stores. No upstream is called, and no file is made."""
    file = settings_file(config)
    if file is None:
        raise ConfigurationError("which settings? Give --config and a settings file")
    settings = _not_strict(Settings.from_toml(file))
    functions: dict[str, ModelFunction] = {name: _stands_in for name, model in settings.models.items() if not model.targets}
    # What a gateway logs is written below, in words for people.
    event_log.addHandler(logging.NullHandler())
    with Gateway(settings, models=functions) as gateway:
        write_lines(*_summary(file, settings))
        for warning in gateway.setup_warnings:
            if warning.event != "ledger_unwritable":
                warn(warning.text)
    _reach_stores(settings)
    write_lines("ok")


def _not_strict(settings: Settings) -> Settings:
    return settings.model_copy(update={"stores": settings.stores.model_copy(update={"strict": False})})


def _reach_stores(settings: Settings) -> None:
    if reason := ledger_fault(settings):
        raise ConfigurationError(f"stores.ledger: {reason}")
    address = settings.stores.ledger
    file = None if address is None else sqlite_file(address.get_secret_value())
    if file is not None and not file.exists():
        # It would belong to whoever runs the command, who need not be the app's user.
        settings = settings.model_copy(update={"stores": settings.stores.model_copy(update={"ledger": None})})
    check_stores(settings, SYSTEM_CLOCK)


def _stands_in(request: object) -> str:
    """Stand-in for the Python function of a model, which only the app has."""
    return ""


def _summary(file: Path, settings: Settings) -> Iterator[str]:
    yield f"settings  {file.absolute()}"
    for name, model in settings.models.items():
        yield f"model     {name} -> {', '.join(map(str, model.targets)) or 'a Python function of the app'}"
    yield f"keys      {len(settings.keys)} in the settings"
    stores = settings.stores
    for name, address in (("limits", stores.admission), ("ledger", stores.ledger)):
        yield f"{name:8}  {'none' if address is None else _place(address.get_secret_value())}"


def _place(address: str) -> str:
    """Return what of a store's address may be shown: never a host's user and password."""
    return f"SQLite, {file}" if (file := sqlite_file(address)) else f"{address.partition('://')[0]}://"
