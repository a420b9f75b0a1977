"""What both databases are told and asked in the same form."""

from typing import Any

from completions_mw.backends.sql.database import Rows
from completions_mw.core.budgets.periods import period_of
from completions_mw.core.ports import Entry, Outcome, UsageQuery, UsageRow


def entry_params(entry: Entry) -> dict[str, Any]:
    """Return a request as its row has it."""
    return entry._asdict()


def outcome_params(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as its row has it; `cost` is the amount where nothing else was posted before."""
    params = outcome._asdict()
    del params["tokens"]
    return params | outcome.tokens._asdict()


def old_periods(before_ms: int) -> dict[str, Any]:
    """Return the names of the oldest periods that are kept, of each kind (`core.periods`: of two names the smaller is the earlier)."""
    seconds = before_ms / 1000
    return {kind: period_of(kind, seconds) for kind in ("hour", "day", "week", "month")}


def usage_params(query: UsageQuery) -> dict[str, Any]:
    """Return a question as the statement takes it."""
    return query._asdict()


def usage_rows(rows: Rows) -> list[UsageRow]:
    """Return the answer. Costs come in dollars and the rest: their sum may be more than 64 bits hold."""
    return [
        UsageRow(group, requests, prompt, completion, cached, reasoning, int(dollars) * 10**9 + int(rest), estimated)
        for group, requests, prompt, completion, cached, reasoning, dollars, rest, estimated in rows
    ]
