"""Settlements as lines of JSON, in which they wait on disk. Whoever can write to the folder of the file may have written a line."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import to_json

from completions_mw.core.budgets.escape import escaped, restored
from completions_mw.core.ports import Account, Entry, Outcome, Settlement

MAX_COUNT: Final = 2**53
"""Tokens or milliseconds that no line of a file has."""
MAX_AMOUNT: Final = 2**80
"""Nano-dollars that a line of a file has at most: more than any usage costs at any price."""


def line_of(settlement: Settlement) -> bytes:
    """Return the line of a settlement, without its end."""
    entry, outcome, accounts = settlement
    values = {**_mapped(outcome, escaped), "tokens": outcome.tokens._asdict()}
    budgets = [_mapped(account, escaped) for account in accounts]
    return to_json({"entry": _mapped(entry, escaped), "outcome": values, "accounts": budgets})


def settlement_in(line: bytes) -> Settlement:
    """Return the settlement in a line.

    Raises:
        ValueError: the line is damaged, of another version, or says what no settlement can.
    """
    entry, outcome, accounts = _reader().validate_json(line)
    settlement = Settlement(
        entry._replace(**_mapped(entry, restored)),
        outcome._replace(**_mapped(outcome, restored)),
        tuple(account._replace(**_mapped(account, restored)) for account in accounts),
    )
    if not _is_possible(settlement):
        raise ValueError("no settlement")
    return settlement


def _is_possible(settlement: Settlement) -> bool:
    entry, outcome, accounts = settlement
    counts = (*outcome.tokens, entry.started_ms, outcome.first_ms or 0, outcome.total_ms)
    amounts = (outcome.cost, outcome.saved, *(account.limit for account in accounts))
    owners = {entry[1:3], ("tenant", entry.tenant)}
    return (
        all(0 <= count < MAX_COUNT for count in counts)
        and all(0 <= amount <= MAX_AMOUNT for amount in amounts)
        and 100 <= outcome.status <= 599
        and all(account[:2] in owners for account in accounts)
    )


def _mapped(values: Entry | Outcome | Account, change: Callable[[str], str]) -> dict[str, Any]:
    return {name: change(value) if isinstance(value, str) else value for name, value in values._asdict().items()}


@cache
def _reader() -> TypeAdapter[Settlement]:
    return TypeAdapter(Settlement)
