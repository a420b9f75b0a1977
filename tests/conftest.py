"""What holds for every test."""

from collections.abc import Iterator

import pytest

from tests.support.envelope import REFUSALS, check_refusal


@pytest.fixture(autouse=True)
def every_refusal_is_an_envelope() -> Iterator[None]:
    """Check every answer of the gateway other than 2xx that any host gave in any test."""
    REFUSALS.clear()
    yield
    for refusal in REFUSALS:
        check_refusal(refusal)
