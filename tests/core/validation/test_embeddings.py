"""Embeddings requests: what is taken, and what OpenAI's words are for what is not (docs/contract.md, Embeddings)."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completions_mw.core.validation.embeddings import Embed, check_batch, validate_embeddings
from completions_mw.core.validation.vendor_params import ParamPolicy
from completions_mw.errors import InvalidRequestError, error_body
from tests.conformance.embeddings_corpus import BASE, ROWS, Row

MAX_INPUTS = 2048


def validate(fields: dict[str, Any], policy: ParamPolicy | None = None) -> Embed:
    return validate_embeddings(fields, max_inputs=MAX_INPUTS, policy=policy or ParamPolicy())


@pytest.mark.parametrize("row", [row for row in ROWS if row.status == 400], ids=lambda row: row.id)
def test_a_wrong_request_is_refused_in_openais_words(row: Row) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validate(row.fields)
    assert error_body(caught.value)["error"] == row.error


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("one text", ["one text"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2, 3], [[1, 2, 3]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        (list(range(8191)), [list(range(8191))]),
        (["x"] * MAX_INPUTS, ["x"] * MAX_INPUTS),
    ],
    ids=["text", "texts", "tokens", "token-lists", "many-tokens", "many-texts"],
)
def test_each_form_of_input_is_taken(given: Any, inputs: list[Any]) -> None:
    request = validate({**BASE, "input": given})
    assert request.inputs == request.request.inputs == inputs
    assert request.fields["input"] is given


def test_null_is_the_same_as_left_out() -> None:
    assert validate({**BASE, "dimensions": None, "encoding_format": None, "user": None}).fields == BASE


@pytest.mark.parametrize(
    ("policy", "kept", "ignored"),
    [
        (ParamPolicy("forward"), {"input_type": "query"}, ()),
        (ParamPolicy("ignore"), {}, ("input_type",)),
        (ParamPolicy("reject", frozenset({"input_type"})), {"input_type": "query"}, ()),
        (ParamPolicy("ignore", frozenset({"input_type"})), {"input_type": "query"}, ()),
    ],
    ids=["forward", "ignore", "reject-but-named", "ignore-but-named"],
)
def test_vendors_parameters_go_by_the_policy(policy: ParamPolicy, kept: dict[str, Any], ignored: tuple[str, ...]) -> None:
    request = validate({**BASE, "input_type": "query"}, policy)
    assert (request.fields, request.ignored) == ({**BASE, **kept}, ignored)


def test_the_tokens_of_a_batch_are_bounded() -> None:
    request = validate(BASE)
    check_batch(request, 300_000, 300_000)
    with pytest.raises(InvalidRequestError) as caught:
        check_batch(request, 300_001, 300_000)
    assert error_body(caught.value)["error"] == {
        "message": "Requested 300001 tokens, max 300000 tokens per request",
        "type": "max_tokens_per_request",
        "param": None,
        "code": "max_tokens_per_request",
    }
    assert caught.value.model == BASE["model"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {}, optional={name: JSON | st.just("a") for name in ("model", "input", "dimensions", "encoding_format", "user")}
)


@given(fields=FIELDS)
def test_any_fields_are_valid_or_refused(fields: dict[str, Any]) -> None:
    with suppress(InvalidRequestError):
        request = validate(fields)
        assert all(len(one) > 0 for one in request.inputs)
        assert request.inputs
