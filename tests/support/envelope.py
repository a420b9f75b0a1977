"""What every refusal must look like, whoever asked and through whichever host (docs/contract.md, Errors and Headers)."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple


class Refusal(NamedTuple):
    """An answer of the gateway other than 2xx; header names in lower case."""

    method: str
    status: int
    headers: Mapping[str, str]
    body: bytes


REFUSALS: list[Refusal] = []
"""Those of the running test; `tests/conftest.py` checks each of them at its end."""


def check_refusal(refusal: Refusal) -> None:
    """Check that a refusal is the envelope of OpenAI's API and nothing else."""
    assert re.fullmatch(r"req_[0-9a-f]{32}", refusal.headers["x-request-id"])
    assert refusal.headers["content-type"] == "application/json"
    assert refusal.headers["x-completions-error-source"] in ("gateway", "upstream")
    if refusal.method == "HEAD":
        return
    check_error(json.loads(refusal.body))


def check_error(body: Any) -> None:
    """Check the envelope itself."""
    assert list(body) == ["error"]
    error = body["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    for always in ("message", "type"):
        assert type(error[always]) is str
        assert error[always]
    assert isinstance(error["param"], str | None)
    assert isinstance(error["code"], str | None)
