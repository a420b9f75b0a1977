"""Parameters and rows of the ledger that both databases have in the same form."""

from typing import Any, Final

from completions_mw.backends.sql.database import Rows
from completions_mw.core.budgets.periods import period_of
from completions_mw.core.ports import Entry, Outcome, UsageQuery, UsageRow

BATCH: Final = 1000
"""Rows that one transaction removes or reaps, so that others do not wait long."""


def entry_params(entry: Entry) -> dict[str, Any]:
    """Return what is known of a request when it begins, as parameters."""
    return entry._asdict()


def outcome_params(outcome: Outcome) -> dict[str, Any]:
    """Return what became of a request, as parameters; `cost` is the amount where nothing else was posted before."""
    params = outcome._asdict()
    del params["tokens"]
    return params | outcome.tokens._asdict()


def old_periods(before_ms: int) -> dict[str, Any]:
    """Return the name of the oldest period that is kept, of each kind: of two names of a kind, the smaller is the earlier."""
    seconds = before_ms / 1000
    return {kind: period_of(kind, seconds) for kind in ("hour", "day", "week", "month")}


def usage_params(query: UsageQuery) -> dict[str, Any]:
    """Return a query of usage, as parameters."""
    return query._asdict()


def usage_rows(rows: Rows) -> list[UsageRow]:
    """Return the answer to a query of usage. Costs come in dollars and the rest: their sum may be more than 64 bits hold."""
    return [
        UsageRow(group, requests, prompt, completion, cached, reasoning, int(dollars) * 10**9 + int(rest), estimated)
        for group, requests, prompt, completion, cached, reasoning, dollars, rest, estimated in rows
    ]
