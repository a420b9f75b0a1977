"""`completions-mw keys …`."""

from typing import Annotated

import typer

from completions_mw.blocking import run_sync
from completions_mw.cli import options
from completions_mw.cli.imports import import_file
from completions_mw.cli.key_views import warn_of_unknown_models, write_all, write_new, write_one
from completions_mw.cli.ledger import opened_keys
from completions_mw.cli.options import AsJson, Config, Id, Ledger
from completions_mw.errors import ConfigurationError

keys = typer.Typer(no_args_is_help=True, help="Make, list, change and rotate the keys of the ledger.")


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="For people; it need not be unique.")],
    tenant: options.Tenant = None,
    model: options.Models = None,
    requests: options.Requests = None,
    tokens: options.Tokens = None,
    concurrency: options.Concurrency = None,
    budget: options.Budget = None,
    period: options.Period = None,
    max_cost: options.MaxCost = None,
    metadata: options.Metadata = None,
    expires: options.Expires = None,
    config: Config = None,
    ledger: Ledger = None,
    as_json: AsJson = False,
) -> None:
    """Create a key, and show its secret: it cannot be shown again."""
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
    with opened_keys(config, ledger, may_create=True) as ring, options.named():
        new = run_sync(ring.create(name, **rules))
    write_new(new, as_json)
    warn_of_unknown_models(config, ledger, [new.key])


@keys.command(name="list")
def list_keys(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only those of one tenant.")] = None,
    config: Config = None,
    ledger: Ledger = None,
    as_json: AsJson = False,
) -> None:
    """List the keys, the oldest first."""
    with opened_keys(config, ledger) as ring:
        found = run_sync(ring.list(tenant))
    write_all(found, as_json)


@keys.command()
def show(id: Id, config: Config = None, ledger: Ledger = None, as_json: AsJson = False) -> None:
    """Show all of a key but its secrets."""
    with opened_keys(config, ledger) as ring:
        key = run_sync(ring.show(id))
    write_one(key, as_json)


@keys.command()
def disable(id: Id, config: Config = None, ledger: Ledger = None, as_json: AsJson = False) -> None:
    """Disable a key: requests with it are refused until it is enabled."""
    with opened_keys(config, ledger) as ring:
        key = run_sync(ring.disable(id))
    write_one(key, as_json)


@keys.command()
def enable(id: Id, config: Config = None, ledger: Ledger = None, as_json: AsJson = False) -> None:
    """Enable a disabled key."""
    with opened_keys(config, ledger) as ring:
        key = run_sync(ring.enable(id))
    write_one(key, as_json)


@keys.command()
def rotate(
    id: Id,
    overlap: Annotated[str, typer.Option("--overlap", help="For how long older secrets are valid: 90s, 30m, 24h, 7d, or seconds.")] = "24h",
    config: Config = None,
    ledger: Ledger = None,
    as_json: AsJson = False,
) -> None:
    """Give a key a new secret, and show it: it cannot be shown again."""
    period = options.duration(overlap)
    with opened_keys(config, ledger) as ring:
        new = run_sync(ring.rotate(id, period))
    write_new(new, as_json)


@keys.command()
def update(
    id: Id,
    name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    tenant: options.Tenant = None,
    model: options.Models = None,
    requests: options.Requests = None,
    tokens: options.Tokens = None,
    concurrency: options.Concurrency = None,
    budget: options.Budget = None,
    period: options.Period = None,
    max_cost: options.MaxCost = None,
    metadata: options.Metadata = None,
    expires: options.Expires = None,
    clear: Annotated[list[options.ClearableField] | None, typer.Option("--clear", help="A rule to take away.")] = None,
    config: Config = None,
    ledger: Ledger = None,
    as_json: AsJson = False,
) -> None:
    """Change what is given of a key. Models are replaced; limits, budget and metadata are changed in their parts."""
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
        raise ConfigurationError("nothing was asked for; `completions-mw keys update --help` lists what can be changed")
    with opened_keys(config, ledger) as ring, options.named():
        changes = options.changed(run_sync(ring.show(id)), rules, clear or [])
        key = run_sync(ring.update(id, **changes) if name is None else ring.update(id, name=name, **changes))
    write_one(key, as_json)
    warn_of_unknown_models(config, ledger, [key])


@keys.command(name="import")
def import_keys(
    file: Annotated[str, typer.Argument(help="A JSON list of objects, or one on each line; - for stdin.")],
    config: Config = None,
    ledger: Ledger = None,
    as_json: AsJson = False,
) -> None:
    """Import keys that clients already have: all keys of the file, or none.

    Each has a name, a secret or a secret_sha256, and what it needs of tenant, models, limits, budget, max_cost, metadata, expires_at
    and disabled.
    """
    with opened_keys(config, ledger, may_create=True) as ring:
        imported = import_file(ring, file)
    write_all(imported, as_json)
    warn_of_unknown_models(config, ledger, imported)
