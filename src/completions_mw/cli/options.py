"""Options that several commands have, and the rules of a key that they stand for."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from completions_mw.core.ports import KeyRecord
from completions_mw.errors import ConfigurationError

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="COMPLETIONS_MW_CONFIG", help="Settings file of the app; by default ./completions.toml."),
]
LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        envvar="COMPLETIONS_MW_STORES__LEDGER",
        help="Address of the ledger, instead of a settings file: sqlite:///…, postgresql://…, env:NAME or file:PATH.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")]
IdArgument = Annotated[str, typer.Argument(help="Id of the key, or the public id in its secret.")]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", help="Tenant, whose limits and budget the key shares; by default the key itself.")
]
ModelsOption = Annotated[
    list[str] | None, typer.Option("--model", help="Model that the key may use; may be repeated. All models by default.")
]
RequestsOption = Annotated[list[str] | None, typer.Option("--requests", help="Limit on requests, such as 60/minute; may be repeated.")]
TokensOption = Annotated[list[str] | None, typer.Option("--tokens", help="Limit on tokens, such as 100000/minute; may be repeated.")]
ConcurrencyOption = Annotated[str | None, typer.Option("--concurrency", help="Limit on requests at the same time.")]
BudgetOption = Annotated[str | None, typer.Option("--budget", help="Budget in USD, such as 10.00; needs --period.")]
PeriodOption = Annotated[str | None, typer.Option("--period", help="Period of the budget: hour, day, week, month or total.")]
MaxCostOption = Annotated[str | None, typer.Option("--max-cost", help="USD that one request may cost at most.")]
MetadataOption = Annotated[list[str] | None, typer.Option("--metadata", help="Metadata, such as owner=ann; may be repeated.")]
ExpiresOption = Annotated[str | None, typer.Option("--expires", help="Time of expiry, such as 2027-01-31T00:00:00Z.")]

_UNIT_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_duration = re.compile(r"(\d{1,9})([smhd]?)", re.ASCII).fullmatch


def duration(text: str) -> timedelta:
    """Return the duration that a text such as `90s`, `30m`, `24h` or `7d` means; a number without a unit is seconds.

    Raises:
        ConfigurationError: the text is not a duration.
    """
    if found := _duration(text):
        return timedelta(seconds=int(found[1]) * _UNIT_SECONDS[found[2]])
    raise ConfigurationError("overlap: should be a time such as 90s, 30m, 24h or 7d, or a number of seconds")


class ClearableField(StrEnum):
    """Values of `keys update --clear`: rules that can be removed from a key."""

    TENANT = "tenant"
    MODELS = "models"
    LIMITS = "limits"
    BUDGET = "budget"
    MAX_COST = "max-cost"
    METADATA = "metadata"
    EXPIRES = "expires"


_OPTION_ERRORS: Final = {
    "budget.period: is missing": "budget.period: is missing; give --period beside --budget",
    "budget.usd: is missing": "budget.usd: is missing; give --budget beside --period",
}
_CLEARED_FIELDS: Final[Mapping[ClearableField, str]] = {field: field.value.replace("-", "_") for field in ClearableField} | {
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
    """Return the rules of a key from the options of a command, without the options that were not given.

    Raises:
        ConfigurationError: a text of `metadata` has no `=`.
    """
    pairs = metadata or []
    if any("=" not in pair for pair in pairs):
        raise ConfigurationError("metadata: should be name=value")
    return _given(
        tenant=tenant,
        models=models,
        limits=_given(requests=requests, tokens=tokens, concurrency=concurrency),
        budget=_given(usd=budget, period=period),
        max_cost=max_cost,
        metadata=dict(pair.split("=", 1) for pair in pairs),
        expires_at=expires,
    )


def changed(key: KeyRecord, rules: Mapping[str, Any], clear: Iterable[ClearableField]) -> dict[str, Any]:
    """Return the changes of a key, with the new rules merged into its own: limits, budget and metadata in parts, other rules as a whole."""
    cleared = {_CLEARED_FIELDS[field]: None for field in clear}
    parts: dict[str, Mapping[str, Any]] = {
        "limits": key.limits.model_dump(),
        "budget": key.budget.model_dump() if key.budget else {},
        "metadata": key.metadata,
    }
    merged = {name: {**(parts[name] if name not in cleared else {}), **new} for name, new in rules.items() if name in parts}
    return {**cleared, **rules, **merged}


@contextmanager
def naming_options() -> Iterator[None]:
    """Make the errors of a `with` block name the options of the command instead of the fields of a key."""
    try:
        yield
    except ConfigurationError as error:
        lines = [_OPTION_ERRORS.get(line, line) for line in str(error).splitlines()]
        raise ConfigurationError("\n".join(lines)) from None


def _given(**options: Any) -> dict[str, Any]:
    # An empty text is kept, and refused when the rules are checked.
    return {name: value for name, value in options.items() if value or value == ""}
