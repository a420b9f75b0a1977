"""Parameters and rows of the ledger that are alike in SQLite and PostgreSQL."""

from typing import Any, Final

from completions_mw.backends.sql.database import Rows
from completions_mw.backends.sql.values import MAX_INTEGER
from completions_mw.core.budgets.periods import period_of
from completions_mw.core.ports import Outcome, UsageQuery, UsageRow

BATCH_SIZE: Final = 1000
"""Rows that one transaction removes or reaps at most, so that other transactions do not wait long."""


def outcome_row(outcome: Outcome) -> tuple[Any, ...]:
    """Return the columns of an outcome without its cost: tokens, `estimated`, target, status, code, finish reason, times, and savings."""
    status, code, target, finish_reason, tokens, _, estimated, first_ms, total_ms, from_cache, saved = outcome
    return (*tokens.columns, estimated, target, status, code, finish_reason, first_ms, total_ms, from_cache, min(saved, MAX_INTEGER))


def old_periods(before_ms: int) -> dict[str, Any]:
    """Return for each kind of period the name of the oldest one that is kept; names of a kind sort by time."""
    seconds = before_ms / 1000
    return {kind: period_of(kind, seconds) for kind in ("hour", "day", "week", "month")}


def usage_params(query: UsageQuery) -> dict[str, Any]:
    """Return parameters for a query of usage."""
    return query._asdict()


def usage_rows(rows: Rows) -> list[UsageRow]:
    """Return the answer to a query of usage. Rows hold costs as dollars and nano-dollars: the sum may exceed 64 bits."""
    return [_usage_row(*row) for row in rows]


def _usage_row(group: str, scope: str, requests: int, prompt: int, completion: int, cached: int, reasoning: int, *rest: Any) -> UsageRow:
    dollars, nano, estimated, from_cache, saved_dollars, saved_nano = map(int, rest)
    cost, saved = dollars * 10**9 + nano, saved_dollars * 10**9 + saved_nano
    return UsageRow(group, requests, prompt, completion, cached, reasoning, cost, estimated, scope, from_cache, saved)
