"""The commands `completions-mw cache`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError

from completions_mw.backends.responses import shared_responses
from completions_mw.blocking import run_sync
from completions_mw.cli.ledger import settings_file
from completions_mw.cli.options import ConfigOption, JsonOption
from completions_mw.cli.output import warn, write_json, write_lines
from completions_mw.core.cache.scopes import labels_named
from completions_mw.core.ports import PurgeFilter, ResponseStore, StoreError
from completions_mw.errors import ConfigurationError
from completions_mw.settings import CacheSettings, StoreSettings
from completions_mw.settings.base import suggestion
from completions_mw.settings.errors import explain
from completions_mw.settings.secrets import MEMORY_ADDRESS
from completions_mw.settings.sources import read_toml

_PATIENCE: Final = "socket_timeout=10"
"""Option of the address: an operator prefers waiting to repeating the command."""
_MAX_BYTES: Final = 2**31 - 1

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="COMPLETIONS_MW_STORES__CACHE",
        help="Address of the cache, instead of that in the settings file: redis://…, env:NAME or file:PATH.",
    ),
]

cache = typer.Typer(no_args_is_help=True, help="Show and purge cached answers in Redis.")


@cache.command()
def purge(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Remove only answers that this tenant shares.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Remove only answers that the key with this id has for itself.")] = None,
    caller: Annotated[str | None, typer.Option("--caller", help="Remove only answers that this user has for itself.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Remove only answers of this model.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all answers.")] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
) -> None:
    """Remove cached answers, and show how many were removed."""
    if everything == any(name is not None for name in (tenant, key, caller, model)):
        raise ConfigurationError("give --all, or what is removed: --tenant, --key, --caller, --model")
    with opened_cache(config, store) as opened:
        removed = run_sync(opened.purge(PurgeFilter(labels_named(tenant=tenant, key=key, caller=caller), model)))
    write_lines(f"{removed} removed")
    if model is not None and not removed and (file := settings_file(config)) is not None:
        # Only a hint: there may be answers of models that the settings no longer have.
        models = read_toml(file).get("models", {})
        if isinstance(models, dict) and model not in models:
            warn(f"the settings have no model `{model}`; {suggestion(model, models)}")


@cache.command()
def stats(config: ConfigOption = None, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show the number of cached answers, and the bytes that they take. `completions-mw usage` shows hits and what they have saved."""
    with opened_cache(config, store) as opened:
        contents = run_sync(opened.contents())
    if as_json:
        write_json(contents._asdict())
    else:
        write_lines(f"entries  {contents.entries}", f"bytes    {contents.bytes}")


@contextmanager
def opened_cache(config: Path | None, store: str | None) -> Iterator[ResponseStore]:
    """Open the store of cached answers that `--config` or `--store` names, for a `with` block.

    Args:
        config: value of `--config`.
        store: value of `--store`.

    Raises:
        ConfigurationError: no store is named, or it is in the memory of the app's processes.
        StoreError: Redis failed.
    """
    stores = _stores(config, store)
    if stores.cache == MEMORY_ADDRESS:
        raise ConfigurationError(
            "stores.cache: answers in memory are only visible in the app's own processes; use Redis, or `gateway.cache`"
        )
    address = stores.cache.get_secret_value()
    patient = f"{address}{'&' if '?' in address else '?'}{_PATIENCE}"
    opened = shared_responses(patient, stores.namespace, CacheSettings(), _MAX_BYTES, blocking=True)
    try:
        yield opened
    except StoreError as error:
        raise StoreError(f"the cache in Redis: {error}") from error
    finally:
        run_sync(opened.aclose())


def _stores(config: Path | None, store: str | None) -> StoreSettings:
    file = settings_file(config)
    if file is None and store is None:
        raise ConfigurationError("no cache: give --config and a settings file, or --store and an address such as redis://127.0.0.1/0")
    table = read_toml(file).get("stores", {}) if file is not None else {}
    # Only what is needed: other settings may need secrets that only the app has.
    found = {name: table[name] for name in ("cache", "namespace") if isinstance(table, dict) and name in table}
    try:
        return StoreSettings.model_validate(
            {**found, **({} if store is None else {"cache": store})}, context=None if file is None else file.parent
        )
    except ValidationError as error:
        message = explain(error)
    # Raised here and not in the handler: pydantic's error holds the address, which may hold a password.
    raise ConfigurationError("\n".join(f"stores.{line}" for line in message.splitlines()))
