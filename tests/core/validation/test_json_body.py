"""Bodies that are not requests: malformed, hostile, or too much (docs/promises.md, Bounds)."""

import contextlib
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from completions_mw.core.validation.json_body import Bounds, parse_json_body
from completions_mw.errors import InvalidRequestError, error_response

BOUNDS = Bounds()
MALFORMED = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. "
    "The OpenAI API expects a JSON payload, but what was sent was not valid JSON. "
)
MEBIBYTE = 1 << 20


def refusal(body: bytes, bounds: Bounds = BOUNDS) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        parse_json_body(body, bounds)
    return caught.value


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


def test_an_object_is_returned_as_it_is() -> None:
    assert parse_json_body('{"a": [1, 2.5, "\u00e9\\u00e9", null, true, {}]}'.encode(), BOUNDS) == {
        "a": [1, 2.5, "\u00e9\u00e9", None, True, {}]
    }


def test_the_last_of_repeated_keys_counts() -> None:
    assert parse_json_body(b'{"model": "a", "model": "b"}', BOUNDS) == {"model": "b"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"  ", id="blank"),
        pytest.param(b'{"a": 1', id="cut"),
        pytest.param(b'{"a": 1} x', id="trailing-text"),
        pytest.param(b'{"a": 1}{}', id="second-value"),
        pytest.param(b'{"a": 1,}', id="trailing-comma"),
        pytest.param(b"{'a': 1}", id="single-quotes"),
        pytest.param(b'{"a": "\x01"}', id="control-character"),
        pytest.param(b'{"a": "\n"}', id="newline"),
        pytest.param(b'{"a": 1} // x', id="comment"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', id="bom"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="utf-16"),
        pytest.param('{"a": 1}'.encode("utf-32"), id="utf-32"),
        pytest.param(b'{"a": "\xff"}', id="not-utf-8"),
        pytest.param(b'{"a": "\xc0\xaf"}', id="overlong"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', id="surrogate-in-utf-8"),
        pytest.param(b'{"a": "\xe2\x82"}', id="cut-utf-8"),
        pytest.param(b'{"a": "\\ud800"}', id="surrogate-in-value"),
        pytest.param(b'{"\\ud800": 1}', id="surrogate-in-key"),
        pytest.param(b'{"a": NaN}', id="nan"),
        pytest.param(b'{"a": Infinity}', id="infinity"),
        pytest.param(b'{"a": -Infinity}', id="minus-infinity"),
        pytest.param(b'{"a": ' + b"1" * 5_000 + b"}", id="5000-digits"),
        pytest.param(b'{"a": ' + b"1" * 1_000_000 + b"}", id="a-million-digits"),
        pytest.param(nested(1_000), id="depth-1000"),
    ],
)
def test_what_is_not_json_gets_openais_text(body: bytes) -> None:
    error = refusal(body)
    assert error.message.startswith(MALFORMED)
    assert (error.param, error.code) == (None, None)


def test_the_place_of_the_fault_is_named_and_not_what_stands_there() -> None:
    assert "The first fault is at line 1 column 7." in refusal(b'{"a": sk-canary-0123456789}').message
    assert "canary" not in refusal(b'{"a": sk-canary-0123456789}').message


@pytest.mark.parametrize(
    "value",
    [b"1e400", b'{"b": [-1e400]}', b"1e99999999999", b"1" * 400, b'[{"b": ' + b"1" * 4_000 + b"}]"],
    ids=lambda value: str(value)[:20],
)
def test_a_number_out_of_range_is_refused(value: bytes) -> None:
    assert refusal(b'{"a": ' + value + b"}").message == (
        "We could not parse the JSON body of your request. (HINT: It has a number that is out of range.)"
    )


def test_the_largest_numbers_pass() -> None:
    assert parse_json_body(b'{"a": 1.7976931348623157e308, "b": -9223372036854776000}', BOUNDS)["b"] == -9223372036854776000


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b"[]", "an array"),
        (b"null", "null"),
        (b'"a"', "a string"),
        (b"1", "an integer"),
        (b"1.5", "a decimal number"),
        (b"true", "a boolean"),
    ],
    ids=str,
)
def test_a_body_that_is_no_object_is_of_the_wrong_type(body: bytes, got: str) -> None:
    error = refusal(body)
    assert error.message == f"Invalid type: expected an object, but got {got} instead."
    assert (error.param, error.code) == (None, "invalid_type")


def test_nesting_is_bounded() -> None:
    parse_json_body(nested(64), BOUNDS)
    assert refusal(nested(65)).message.endswith("(HINT: It is nested deeper than 64 levels.)")


@pytest.mark.parametrize(
    "value",
    [b'{"a":' * 1_000_000, b"[" * 1_000_000, b"[" * 1_000_000 + b"]" * 1_000_000, b"[" * 65, b"[" * 65 + b"]" * 65],
    ids=["objects", "arrays", "closed", "one-too-deep", "one-too-deep-closed"],
)
def test_nesting_is_refused_whether_it_ends_or_not(value: bytes) -> None:
    error = refusal(b'{"a": ' + value + b"}")
    assert error.message.startswith("We could not parse the JSON body of your request.")
    assert (error.param, error.code) == (None, None)


def test_brackets_inside_of_strings_are_not_structure() -> None:
    parse_json_body(json.dumps({"a": '[{"\\' * 200_000}).encode(), BOUNDS)


@pytest.mark.parametrize("count", [1, 300_000], ids=["small", "large"])
def test_items_are_bounded_whatever_the_size_of_the_body(count: int) -> None:
    padding = "x" * count
    parse_json_body(json.dumps({"a": [1, 2, 3], "b": padding}).encode(), Bounds(max_items=5))
    assert refusal(json.dumps({"a": [1, 2, 3, 4], "b": padding}).encode(), Bounds(max_items=5)).message.endswith(
        "(HINT: It has more than 5 items.)"
    )


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: b'{"messages":[' + b"{}," * (4 * MEBIBYTE // 3) + b"{}]}", id="4-mib-of-objects"),
        pytest.param(lambda: b'{"model":"m"' + b"".join(b',"%d":1' % number for number in range(500_000)) + b"}", id="500k-keys"),
        pytest.param(lambda: b'{"messages":[' + b",".join([b'{"role":"user","content":"x"}'] * 100_000) + b"]}", id="100k-messages"),
        pytest.param(lambda: b'{"a":["' + b'","' * MEBIBYTE + b'"]}', id="strings"),
        pytest.param(lambda: b'{"a":["' + b'",,","' * MEBIBYTE + b'"]}', id="strings-of-commas"),
    ],
)
def test_a_flood_of_items_is_refused_before_they_are_built(make: Callable[[], bytes]) -> None:
    body = make()
    tracemalloc.start()
    try:
        error = refusal(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.message.endswith("(HINT: It has more than 100000 items.)")
    assert peak < 32 * MEBIBYTE
    assert len(error_response(error).body) <= 4096


def test_messages_are_bounded() -> None:
    parse_json_body(json.dumps({"messages": [{}] * 2048}).encode(), BOUNDS)
    error = refusal(json.dumps({"messages": [{}] * 2049}).encode())
    assert error.message == (
        "Invalid 'messages': array too long. Expected an array with maximum length 2048, but got an array with length 2049 instead."
    )
    assert (error.param, error.code) == ("messages", "array_above_max_length")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=8))
def test_all_json_is_read_as_the_standard_library_reads_it(value: dict[str, Any]) -> None:
    assert parse_json_body(json.dumps(value).encode(), BOUNDS) == value


@pytest.mark.parametrize("padding", [0, 300_000], ids=["built", "bytes"])
@settings(deadline=None)
@given(value=st.dictionaries(st.text(alphabet='[]{},"\\ a'), st.lists(st.text(alphabet='[]{},"\\ a')), max_size=8))
def test_items_are_counted_alike_when_built_and_in_bytes(padding: int, value: dict[str, list[str]]) -> None:
    value["padding"] = ["," * padding]
    items = len(value) + sum(len(inner) or 1 for inner in value.values())
    body = json.dumps(value).encode()
    parse_json_body(body, Bounds(max_items=items))
    refusal(body, Bounds(max_items=items - 1))


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidRequestError):
        parse_json_body(body, BOUNDS)
