"""The command `completions-mw check`."""

import logging
import os
from collections.abc import Iterator
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.cli.errors import explained
from completions_mw.cli.ledger import settings_file
from completions_mw.cli.options import ConfigOption
from completions_mw.cli.output import warn, write_lines
from completions_mw.core.ports import ModelFunction
from completions_mw.core.telemetry.log import event_log
from completions_mw.errors import ConfigurationError
from completions_mw.gateway import Gateway
from completions_mw.gateway.custom_formats import GROUP
from completions_mw.gateway.setup_warnings import may_store_keys
from completions_mw.gateway.store_checks import check_stores, ledger_fault
from completions_mw.gateway.stores import caches_answers
from completions_mw.http import UpstreamRequest
from completions_mw.providers.base import Completion, Translator
from completions_mw.providers.custom import CustomFormat
from completions_mw.settings import CustomSettings, Settings
from completions_mw.settings.secrets import sqlite_file

PREFIX: Final = "COMPLETIONS_MW_"
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"
"""Names the settings file, as `--config` does."""


def check(config: ConfigOption = None) -> None:
    """Check the settings, in a file and in variables COMPLETIONS_MW_…: build a gateway and connect to its stores.

    Calls no upstream and creates no file.
    """
    file = settings_file(config)
    variables = sorted(name for name in os.environ if name.startswith(PREFIX) and name != CONFIG_VARIABLE)
    if file is None and not variables:
        raise ConfigurationError("no settings: give --config and a settings file")
    settings = Settings.from_env(PREFIX, file)
    # The stores are reached below, after the summary.
    settings = settings.model_copy(update={"stores": settings.stores.model_copy(update={"strict": False})})
    functions: dict[str, ModelFunction] = {name: _stand_in for name, model in settings.models.items() if not model.targets}
    # The warnings that a gateway logs are written below, as texts for people.
    event_log.addHandler(logging.NullHandler())
    with Gateway(settings, models=functions, providers=_formats_of_app(settings)) as gateway:
        write_lines(*_summary(file, variables, settings))
        for warning in gateway.setup_warnings:
            if warning.event != "ledger_unwritable":
                warn(warning.text)
    if not settings.keys and not may_store_keys(settings):
        warn("keys: there is none, so every answer over HTTP is 401, unless the app has a login (`authenticate`)")
    _reach_stores(settings)
    write_lines("ok")


def _reach_stores(settings: Settings) -> None:
    if reason := ledger_fault(settings):
        raise ConfigurationError(f"stores.ledger: {reason}")
    address = settings.stores.ledger
    file = None if address is None else sqlite_file(address.get_secret_value())
    if file is not None and not file.exists():
        # Not opened: SQLite would create it, owned by the user who runs the command and not by the app's user.
        settings = settings.model_copy(update={"stores": settings.stores.model_copy(update={"ledger": None})})
    check_stores(settings, SYSTEM_CLOCK, str if address is None else partial(explained, address=address.get_secret_value()))


def _stand_in(request: object) -> str:
    """Return an empty answer, in place of a Python function that only the app has."""
    return ""


class _StandInFormat(CustomFormat):
    """A wire format in place of one that only the app has. It is asked for nothing, since no upstream is called."""

    def build_request(self, *args: Any, **options: Any) -> UpstreamRequest:
        raise NotImplementedError

    def parse_completion(self, body: bytes) -> Completion:
        raise NotImplementedError

    def open_stream(self, max_event_bytes: int) -> Translator:
        raise NotImplementedError


def _formats_of_app(settings: Settings) -> dict[str, CustomFormat]:
    """Return stand-ins for the wire formats that no installed package brings."""
    named = {provider.format for provider in settings.providers.values() if isinstance(provider, CustomSettings)}
    return {format: _StandInFormat() for format in named - entry_points(group=GROUP).names}


def _summary(file: Path | None, variables: list[str], settings: Settings) -> Iterator[str]:
    for source in ([] if file is None else [str(file.absolute())]) + variables:
        yield f"settings  {source}"
    for name, model in settings.models.items():
        yield f"model     {name} -> {', '.join(map(str, model.targets)) or 'a Python function of the app'}"
    yield f"keys      {len(settings.keys)} in the settings"
    stores = settings.stores
    used = [("limits", stores.admission), ("ledger", stores.ledger)]
    if caches_answers(settings):
        used.append(("cache", stores.cache))
    for name, address in used:
        text = "" if address is None else address.get_secret_value()
        # Only the scheme of other addresses: the rest may hold a user and a password.
        shown = f"SQLite, {database}" if (database := sqlite_file(text)) else f"{text.partition('://')[0]}://"
        yield f"{name:8}  {shown if text else 'none'}"
