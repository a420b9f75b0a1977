"""The command `completions-mw usage`."""

from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from completions_mw.blocking import run_sync
from completions_mw.cli.ledger import opened_ledger
from completions_mw.cli.options import ConfigOption, JsonOption, LedgerOption
from completions_mw.cli.output import warn, write_json, write_table
from completions_mw.core.ports import UsageQuery, UsageRow
from completions_mw.errors import ConfigurationError


class By(StrEnum):
    """Values of `--by`: what the requests are grouped by."""

    KEY = "key"
    TENANT = "tenant"
    MODEL = "model"
    DAY = "day"


_COLUMNS = ("requests", "prompt", "completion", "cached", "reasoning", "USD", "estimated", "hits", "rate", "saved")


def usage(
    by: Annotated[By, typer.Option("--by", help="Group requests by key, tenant, model or day.")] = By.DAY,
    since: Annotated[
        str | None, typer.Option("--since", help="Start: a day such as 2026-11-01 (UTC), or a time such as 2026-11-01T12:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="End, exclusive: a day or a time.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Count only requests of the key with this id.")] = None,
    caller: Annotated[str | None, typer.Option("--caller", help="Count only requests of this user of the app's login.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Count only requests for this model.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Count only requests of this tenant.")] = None,
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the number of requests, their tokens and their cost; how many of them the cache has answered, and the USD that this saved."""
    query = UsageQuery(by.value, _milliseconds(since, "since"), _milliseconds(until, "until"), key, tenant, model, caller)
    with opened_ledger(config, ledger) as store:
        rows = run_sync(store.usage(query))
    if as_json:
        write_json([_document(row) for row in rows])
    elif not rows:
        warn(f"no such request has been recorded{'; users of a login need --caller' if key else ''}")
    else:
        named = ("key", "scope") if by is By.KEY else (by.value,)
        write_table((*named, *_COLUMNS), [(*_names(by, row), *_sums(row)) for row in rows], numbers=_COLUMNS)


def _milliseconds(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is not None and instant.utcoffset() is None and len(text) == len("2026-11-01"):
        instant = instant.replace(tzinfo=UTC)
    if instant is None or instant.utcoffset() is None:
        raise ConfigurationError(
            f"{option}: should be a day such as 2026-11-01, or a time with its offset from UTC such as 2026-11-01T12:00:00Z"
        )
    return round(instant.timestamp() * 1000)


def _document(row: UsageRow) -> dict[str, Any]:
    return {**asdict(row), "cost": f"{row.cost:f}", "saved": f"{row.saved:f}", "hit_rate": round(row.hit_rate, 4)}


def _names(by: By, row: UsageRow) -> tuple[str, ...]:
    if by is By.KEY:
        return (row.group or "(the app itself)", row.scope)
    return (row.group or "(none)",)


def _sums(row: UsageRow) -> tuple[str, ...]:
    counts = (row.requests, row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.reasoning_tokens)
    return (*map(str, counts), f"{row.cost:f}", str(row.estimated), str(row.from_cache), f"{row.hit_rate:.0%}", f"{row.saved:f}")
