"""The command `completions-mw balances`."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import typer

from completions_mw.blocking import run_sync
from completions_mw.cli.ledger import opened_ledger
from completions_mw.cli.options import ConfigOption, JsonOption, LedgerOption
from completions_mw.cli.output import warn, write_json, write_table
from completions_mw.core.ports import Balance


class Scope(StrEnum):
    """Values of `--scope`: kinds of owners of a budget."""

    KEY = "key"
    CALLER = "caller"
    TENANT = "tenant"


_AMOUNT_COLUMNS = ("budget USD", "spent USD", "reserved USD", "left USD")


def balances(
    id: Annotated[str, typer.Argument(help="Id of a key, caller or tenant.")],
    scope: Annotated[Scope, typer.Option("--scope", help="Whether ID is a key, a caller or a tenant.")] = Scope.KEY,
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the amounts spent, reserved and left of each budget, the newest period first."""
    with opened_ledger(config, ledger) as store:
        found = run_sync(store.balances(scope.value, id))
    if as_json:
        write_json([_document(balance) for balance in found])
    elif not found:
        hint = "; users of a login need --scope caller, tenants --scope tenant" if scope is Scope.KEY else ""
        warn(f"no budget of this {scope.value} has been used{hint}")
    else:
        rows = [(balance.period, *(f"{amount:f}" for amount in _amounts(balance).values())) for balance in found]
        write_table(("period", *_AMOUNT_COLUMNS), rows, whole=("period",), numbers=_AMOUNT_COLUMNS)


def _amounts(balance: Balance) -> dict[str, Decimal]:
    left = max(balance.limit_usd - balance.spent_usd - balance.reserved_usd, Decimal())
    return {"limit": balance.limit_usd, "spent": balance.spent_usd, "reserved": balance.reserved_usd, "left": left}


def _document(balance: Balance) -> dict[str, str]:
    amounts = {name: f"{amount:f}" for name, amount in _amounts(balance).items()}
    return {"scope": balance.scope, "id": balance.name, "period": balance.period, **amounts}
