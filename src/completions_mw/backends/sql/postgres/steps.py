"""Calls of the ledger as steps of the function `take`, and its answers (`functions.sql`)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from completions_mw.backends.sql.values import MAX_INTEGER, restored
from completions_mw.core.ports import Account, BudgetChange, Entry, Outcome, Tokens


class LedgerStep(NamedTuple):
    """A call of the ledger, as one step of a transaction."""

    owner: str
    """Whose budgets it is about, as far as the step tells: steps of different owners may need different locks."""
    fields: Mapping[str, Any]
    """The kind of the step, and its parameters."""

    def after_reap(self) -> Self:
        """Return the step of a reservation after expired ones were reaped, so that its refusal is final."""
        return self._replace(fields={**self.fields, "reaped": True})


def reservation(entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> LedgerStep:
    """Return the step that reserves `amount` in accounts, which are sorted."""
    held = {"amount": min(amount, MAX_INTEGER), "ttl_ms": ttl_ms, "reaped": False}
    return LedgerStep(_owner(entry), {"kind": "reserve", **entry._asdict(), **_columns(accounts), **held})


def checkpoint(request_id: str, amount: int, tokens: Tokens) -> LedgerStep:
    """Return the step that notes the cost of a stream so far."""
    return LedgerStep("", {"kind": "checkpoint", "request_id": request_id, "amount": min(amount, MAX_INTEGER), **tokens._asdict()})


def settlement(entry: Entry, outcome: Outcome, accounts: Sequence[Account] = (), *, lease_ms: int | None = None) -> LedgerStep:
    """Return the step that posts the cost of a request; with a lease, only if the request was not renewed for half of the lease."""
    amounts = {"cost": min(outcome.cost, MAX_INTEGER), "saved": min(outcome.saved, MAX_INTEGER), "lease_ms": lease_ms}
    fields = {**entry._asdict(), **outcome._asdict(), **outcome.tokens._asdict(), **_columns(accounts), **amounts}
    return LedgerStep(_owner(entry), {"kind": "settle", **fields})


def budget_changes(answer: Iterable[Mapping[str, Any]]) -> list[BudgetChange]:
    """Return the answer to a settlement."""
    rows = [(row["scope"], row["name"], row["period"], row["limit"], row["spent"], tuple(row["told"])) for row in answer]
    return [BudgetChange(*row) for row in restored(rows)]


def steps_by_owner(steps: Sequence[LedgerStep]) -> list[list[LedgerStep]]:
    """Return the steps of each owner."""
    parts: dict[str, list[LedgerStep]] = {}
    for step in steps:
        parts.setdefault(step.owner, []).append(step)
    return [*parts.values()]


def _columns(accounts: Sequence[Account]) -> dict[str, list[Any]]:
    scopes, names, periods, limits = map(list, zip(*accounts, strict=True)) if accounts else ([], [], [], [])
    return {"scopes": scopes, "names": names, "periods": periods, "limits": [min(limit, MAX_INTEGER) for limit in limits]}


def _owner(entry: Entry) -> str:
    return f"{entry.scope}:{entry.key}"
