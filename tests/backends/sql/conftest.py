"""The ledgers that the tests of this folder ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledgers import KINDS, Books, Time, address_of, books


@pytest.fixture(params=KINDS)
def all_books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    """Each kind of ledger, empty, with a clock of its own."""
    with books(address_of(request.param, request, tmp_path), blocking=not request.param.endswith("-async"), clock=Time().clock) as opened:
        yield opened
