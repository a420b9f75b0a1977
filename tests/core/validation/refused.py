"""Refusals of wrong requests."""

from typing import Any

import pytest

from completions_mw.core.validation.request import validate
from completions_mw.errors import InvalidRequestError
from tests.conformance.corpus import BASE


def refusal(fragment: dict[str, Any]) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        validate({**BASE, **fragment})
    return caught.value


def said_of(fragment: dict[str, Any]) -> tuple[str | None, str | None, str]:
    error = refusal(fragment)
    return error.code, error.param, error.message
