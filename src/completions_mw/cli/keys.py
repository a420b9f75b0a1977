"""The commands `completions-mw keys …`."""

from typing import Annotated

import typer

from completions_mw.blocking import run_sync
from completions_mw.cli import options
from completions_mw.cli.imports import import_file
from completions_mw.cli.key_views import warn_of_unknown_models, write_all, write_new, write_one
from completions_mw.cli.ledger import opened_keys
from completions_mw.cli.options import ConfigOption, IdArgument, JsonOption, LedgerOption
from completions_mw.errors import ConfigurationError

keys = typer.Typer(no_args_is_help=True, help="Create, list, change and rotate the API keys in the ledger.")


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Name for people; it need not be unique.")],
    tenant: options.TenantOption = None,
    model: options.ModelsOption = None,
    requests: options.RequestsOption = None,
    tokens: options.TokensOption = None,
    concurrency: options.ConcurrencyOption = None,
    budget: options.BudgetOption = None,
    period: options.PeriodOption = None,
    max_cost: options.MaxCostOption = None,
    metadata: options.MetadataOption = None,
    expires: options.ExpiresOption = None,
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a key and show its secret, which cannot be shown again."""
    rules = options.rules(
        tenant=tenant,
        models=model,
        requests=requests,
        tokens=tokens,
        concurrency=concurrency,
        budget=budget,
        period=period,
        max_cost=max_cost,
        metadata=metadata,
        expires=expires,
    )
    with opened_keys(config, ledger, may_create=True) as service, options.naming_options():
        new = run_sync(service.create(name, **rules))
    write_new(new, as_json)
    warn_of_unknown_models(config, ledger, [new.key])


@keys.command(name="list")
def list_keys(
    tenant: Annotated[str | None, typer.Option("--tenant", help="List only keys of this tenant.")] = None,
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all keys, the oldest first."""
    with opened_keys(config, ledger) as service:
        found = run_sync(service.list(tenant))
    write_all(found, as_json)


@keys.command()
def show(id: IdArgument, config: ConfigOption = None, ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """Show the details of a key, without its secrets."""
    with opened_keys(config, ledger) as service:
        key = run_sync(service.show(id))
    write_one(key, as_json)


@keys.command()
def disable(id: IdArgument, config: ConfigOption = None, ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """Disable a key: requests with it are refused until it is enabled."""
    with opened_keys(config, ledger) as service:
        key = run_sync(service.disable(id))
    write_one(key, as_json)


@keys.command()
def enable(id: IdArgument, config: ConfigOption = None, ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """Enable a disabled key."""
    with opened_keys(config, ledger) as service:
        key = run_sync(service.enable(id))
    write_one(key, as_json)


@keys.command()
def rotate(
    id: IdArgument,
    overlap: Annotated[
        str, typer.Option("--overlap", help="Time for which older secrets stay valid: 90s, 30m, 24h, 7d, or seconds.")
    ] = "24h",
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a key a new secret and show it; it cannot be shown again."""
    period = options.duration(overlap)
    with opened_keys(config, ledger) as service:
        new = run_sync(service.rotate(id, period))
    write_new(new, as_json)


@keys.command()
def update(
    id: IdArgument,
    name: Annotated[str | None, typer.Option("--name", help="New name.")] = None,
    tenant: options.TenantOption = None,
    model: options.ModelsOption = None,
    requests: options.RequestsOption = None,
    tokens: options.TokensOption = None,
    concurrency: options.ConcurrencyOption = None,
    budget: options.BudgetOption = None,
    period: options.PeriodOption = None,
    max_cost: options.MaxCostOption = None,
    metadata: options.MetadataOption = None,
    expires: options.ExpiresOption = None,
    clear: Annotated[list[options.ClearableField] | None, typer.Option("--clear", help="Rule to remove; may be repeated.")] = None,
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a key. Models are replaced as a whole; limits, budget and metadata are changed in the parts that are given."""
    rules = options.rules(
        tenant=tenant,
        models=model,
        requests=requests,
        tokens=tokens,
        concurrency=concurrency,
        budget=budget,
        period=period,
        max_cost=max_cost,
        metadata=metadata,
        expires=expires,
    )
    if name is None and not rules and not clear:
        raise ConfigurationError("nothing to change; `completions-mw keys update --help` lists the options")
    with opened_keys(config, ledger) as service, options.naming_options():
        changes = options.changed(run_sync(service.show(id)), rules, clear or [])
        key = run_sync(service.update(id, **changes) if name is None else service.update(id, name=name, **changes))
    write_one(key, as_json)
    warn_of_unknown_models(config, ledger, [key])


@keys.command(name="import")
def import_keys(
    file: Annotated[str, typer.Argument(help="File with a JSON list of objects, or one JSON object on each line; - for stdin.")],
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import keys that clients already have: all keys of the file, or none.

    Each object has a name, and either a secret or a secret_sha256. Optional are tenant, models, limits, budget, max_cost, metadata,
    expires_at and disabled.
    """
    with opened_keys(config, ledger, may_create=True) as service:
        imported = import_file(service, file)
    write_all(imported, as_json)
    warn_of_unknown_models(config, ledger, imported)
