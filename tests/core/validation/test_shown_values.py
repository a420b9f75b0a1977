"""What errors show of a wrong value: never a secret, and never much (docs/contract.md, Validation)."""

import traceback
from typing import Any

import pytest

from completions_mw.errors import error_body, error_response
from tests.core.validation.refused import refusal, said_of


@pytest.mark.parametrize("secret", ["sk-canary-0123456789abcdef", "sk-canary", "x" * 17], ids=str)
@pytest.mark.parametrize(
    "place",
    ["verbosity", "reasoning_effort", "service_tier", "tool_choice", "temperature", "messages", "stop"],
)
def test_a_secret_in_the_wrong_field_is_not_echoed(place: str, secret: str) -> None:
    value = {"stop": {"x": secret}, "messages": [{"role": secret}]}.get(place, secret)
    error = refusal({place: value})
    assert secret not in str(error_body(error))
    assert secret not in "".join(traceback.format_exception(error))


def test_long_numbers_are_shortened() -> None:
    assert said_of({"n": -(10**40)})[2] == "Invalid 'n': integer below minimum value. Expected a value >= 1, but got -10...000 instead."
    assert refusal({"n": -(10**5000)}).code == "integer_below_min_value"


@pytest.mark.parametrize(
    "fragment",
    [
        {"\x01" * 100_000: 1},
        {"metadata": {"\x01" * 100_000: "v"}},
        {"metadata": {"\x01" * 100_000: 1}},
        {"logit_bias": {"\U0001f600" * 100_000: "v"}},
        {"stream_options": {"\x01" * 100_000: 1}},
        {"verbosity": "\x01" * 100_000},
        {"messages": [{"role": "\x01" * 100_000}]},
    ],
    ids=["unknown", "metadata-name", "metadata-value", "logit_bias", "stream_options", "value", "role"],
)
def test_an_error_is_small_whatever_was_sent(fragment: dict[str, Any]) -> None:
    assert len(error_response(refusal(fragment)).body) <= 4096


@pytest.mark.parametrize(
    ("fragment", "code"),
    [
        ({"logit_bias": {str(number): "x" for number in range(90_000)}}, "object_above_max_properties"),
        ({"metadata": {str(number): 1 for number in range(90_000)}}, "object_above_max_properties"),
        ({"stream_options": {str(number): 1 for number in range(90_000)}}, "unknown_parameter"),
        ({"tools": [7] * 90_000}, "invalid_type"),
        ({"stop": [7] * 90_000}, "invalid_type"),
        ({str(number): 1 for number in range(90_000)}, "unknown_parameter"),
    ],
    ids=["logit_bias", "metadata", "stream_options", "tools", "stop", "unknown"],
)
def test_many_faults_of_one_kind_are_one(fragment: dict[str, Any], code: str) -> None:
    assert refusal(fragment).code == code
