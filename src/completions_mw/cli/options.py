"""The options that several commands have."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from completions_mw.core.ports import KeyRecord
from completions_mw.errors import ConfigurationError

Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="COMPLETIONS_MW_CONFIG", help="The app's settings file; ./completions.toml if it is there."),
]
Ledger = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        envvar="COMPLETIONS_MW_STORES__LEDGER",
        help="The address of the ledger instead of a settings file: sqlite:///…, postgresql://…, env:NAME or file:PATH.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]
Id = Annotated[str, typer.Argument(help="The key's id, or the public id in its secret.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="On whose behalf; by default the key itself.")]
Models = Annotated[list[str] | None, typer.Option("--model", help="A model that it may use; all by default.")]
Requests = Annotated[list[str] | None, typer.Option("--requests", help="A limit, as 60/minute.")]
Tokens = Annotated[list[str] | None, typer.Option("--tokens", help="A limit, as 100000/minute.")]
Concurrency = Annotated[str | None, typer.Option("--concurrency", help="Requests at the same time.")]
Budget = Annotated[str | None, typer.Option("--budget", help="USD, as 10.00; with --period.")]
Period = Annotated[str | None, typer.Option("--period", help="hour, day, week, month or total.")]
MaxCost = Annotated[str | None, typer.Option("--max-cost", help="USD that one request may cost at most.")]
Metadata = Annotated[list[str] | None, typer.Option("--metadata", help="A note, as owner=ann.")]
Expires = Annotated[str | None, typer.Option("--expires", help="As 2027-01-31T00:00:00Z.")]

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_duration = re.compile(r"(\d{1,9})([smhd]?)", re.ASCII).fullmatch


def duration(text: str) -> timedelta:
    """Return what `90s`, `30m`, `24h` or `7d` means; without a unit, seconds.

    Raises:
        ConfigurationError: it is none of these.
    """
    if found := _duration(text):
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    raise ConfigurationError("overlap: should be a time as 90s, 30m, 24h or 7d, or seconds as 3600")


def _notes(pairs: Sequence[str]) -> dict[str, str]:
    """Return the metadata of `k=v` pairs.

    Raises:
        ConfigurationError: one has no `=`.
    """
    if any("=" not in pair for pair in pairs):
        raise ConfigurationError("metadata: should be name=value")
    return dict(pair.split("=", 1) for pair in pairs)


class ClearableField(StrEnum):
    """What `keys update --clear` takes away."""

    TENANT = "tenant"
    MODELS = "models"
    LIMITS = "limits"
    BUDGET = "budget"
    MAX_COST = "max-cost"
    METADATA = "metadata"
    EXPIRES = "expires"


_ADVICE: Final = {
    "budget.period: is missing": "budget.period: is missing; give --period beside --budget",
    "budget.usd: is missing": "budget.usd: is missing; give --budget beside --period",
}
_FIELDS: Final[Mapping[ClearableField, str]] = {rule: rule.value.replace("-", "_") for rule in ClearableField} | {
    ClearableField.EXPIRES: "expires_at"
}


def rules(
    *,
    tenant: str | None,
    models: list[str] | None,
    requests: list[str] | None,
    tokens: list[str] | None,
    concurrency: str | None,
    budget: str | None,
    period: str | None,
    max_cost: str | None,
    metadata: list[str] | None,
    expires: str | None,
) -> dict[str, Any]:
    """Return the rules of a key from the options of a command; options that were not given are left out."""
    return _given(
        tenant=tenant,
        models=models,
        limits=_given(requests=requests, tokens=tokens, concurrency=concurrency),
        budget=_given(usd=budget, period=period),
        max_cost=max_cost,
        metadata=_notes(metadata or []),
        expires_at=expires,
    )


def changed(key: KeyRecord, rules: Mapping[str, Any], clear: Iterable[ClearableField]) -> dict[str, Any]:
    """Merge new rules into those of a key: limits, budget and metadata are changed part by part, all others as a whole."""
    cleared = {_FIELDS[rule]: None for rule in clear}
    parts: dict[str, Mapping[str, Any]] = {
        "limits": key.limits.model_dump(),
        "budget": key.budget.model_dump() if key.budget else {},
        "metadata": key.metadata,
    }
    merged = {name: {**(parts[name] if name not in cleared else {}), **new} for name, new in rules.items() if name in parts}
    return {**cleared, **rules, **merged}


@contextmanager
def named() -> Iterator[None]:
    """Let errors about fields name the command's options, where those have other names."""
    try:
        yield
    except ConfigurationError as error:
        lines = [_ADVICE.get(line, line) for line in str(error).splitlines()]
        raise ConfigurationError("\n".join(lines)) from None


def _given(**options: Any) -> dict[str, Any]:
    # An empty text was given, though nothing may be empty: it is refused where it is checked.
    return {name: value for name, value in options.items() if value or value == ""}
