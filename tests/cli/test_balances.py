"""`completions-mw balances`: what is left of a budget, for people and for programs."""

from pathlib import Path
from typing import Any

import pytest

from completions_mw import Caller, Gateway, Settings
from tests.support.command_line import Result, inside

HELLO = [{"role": "user", "content": "hi"}]
BUDGET = {"usd": "10.00", "period": "total"}


def answer(request: object) -> dict[str, Any]:
    message = {"role": "assistant", "content": "hello"}
    usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


@pytest.fixture
def balances(tmp_path: Path) -> Any:
    """Return the command, for a ledger in which a key and a caller have spent 3 USD."""
    address = f"sqlite:///{tmp_path}/ledger.db"
    model = {"prices": {"input": "1000", "output": "2000"}, "max_output_tokens": 1000}
    settings = Settings(
        models={"m": model},
        stores={"ledger": address},
        keys={"k": {"secret": "sk-0123456789", "budget": BUDGET}},
        callers={"budget": BUDGET},
    )
    with Gateway(settings, models={"m": answer}) as gateway:
        gateway.complete(model="m", messages=HELLO, key="sk-0123456789")
        gateway.complete(model="m", messages=HELLO, caller=Caller("ada"))

    def balances(*arguments: str) -> Result:
        return inside("balances", *arguments, "--ledger", address)

    return balances


@pytest.mark.parametrize(("options", "scope", "id"), [(("k",), "key", "k"), (("ada", "--scope", "caller"), "caller", "ada")])
def test_for_programs(balances: Any, options: tuple[str, ...], scope: str, id: str) -> None:
    (balance,) = balances(*options, "--json").json
    assert balance == {
        **{"scope": scope, "id": id, "period": "total"},
        **{"limit": "10.000000000", "spent": "3.000000000", "reserved": "0.000000000", "left": "7.000000000"},
    }


def test_for_people(balances: Any) -> None:
    columns, row = (line.split() for line in balances("k").out.splitlines())
    assert " ".join(columns) == "period budget USD spent USD reserved USD left USD"
    assert row == ["total", "10.000000000", "3.000000000", "0.000000000", "7.000000000"]


def test_nobody_has_none(balances: Any) -> None:
    nobody = balances("nobody")
    assert (nobody.code, nobody.out) == (0, "")
    assert nobody.err == "warning: no budget of this key has been used; users of a login need --scope caller, tenants --scope tenant\n"
    assert balances("nobody", "--json").json == []
    assert balances("k", "--scope", "tenant", "--json").json == []


def test_a_scope_that_is_none(balances: Any) -> None:
    assert balances("k", "--scope", "app").code == 2
