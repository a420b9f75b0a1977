"""Wrong embeddings requests and the answers to them (docs/contract.md, Embeddings). Data only, for every host and for the validation alone.

The texts, paths and order are those that the live API has for chat completions (see `corpus.py`), with the fields of OpenAI's reference for
embeddings, https://platform.openai.com/docs/api-reference/embeddings/create. The answers to a model of another kind are captures of the
live API, as infiniflow/ragflow#1835 quotes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from completions_mw.errors import ErrorObject

BASE: Final[dict[str, Any]] = {"model": "embed", "input": "hi"}


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of a request, and what must come back."""

    id: str
    fields: dict[str, Any]
    error: ErrorObject
    status: int = 400


def _row(id: str, fields: Mapping[str, Any], code: str | None, param: str | None, message: str, *, status: int = 400) -> Row:
    error: ErrorObject = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Row(id, {**BASE, **fields}, error, status)


def _type(id: str, fields: Mapping[str, Any], param: str, expected: str, got: str) -> Row:
    return _row(id, fields, "invalid_type", param, f"Invalid type for '{param}': expected {expected}, but got {got} instead.")


def _empty(id: str, value: object, param: str, kind: str) -> Row:
    text = f"Invalid '{param}': empty {kind}. Expected {_AN[kind]} with minimum length 1, but got an empty {kind} instead."
    return _row(id, {"input": value}, f"empty_{kind}", param, text)


_AN: Final = {"string": "a string", "array": "an array"}
_INPUT: Final = "one of a string, array of strings, array of integers, or array of integer arrays"
_NO_MODEL: Final = "you must provide a model parameter"

ROWS: Final = (
    _row("model-null", {"model": None}, None, None, _NO_MODEL),
    _row("model-empty", {"model": "", "input": []}, None, None, _NO_MODEL),
    _type("model-number", {"model": 7}, "model", "a string", "an integer"),
    _row("input-null", {"input": None, "zzz": 1}, "missing_required_parameter", "input", "Missing required parameter: 'input'."),
    _row("unknown", {"zzz": 1, "input": []}, "unknown_parameter", "zzz", "Unknown parameter: 'zzz'."),
    _row("messages", {"messages": []}, "unknown_parameter", "messages", "Unknown parameter: 'messages'."),
    _row("stream", {"stream": True}, "unknown_parameter", "stream", "Unknown parameter: 'stream'."),
    _type("input-number", {"input": 7}, "input", _INPUT, "an integer"),
    _type("input-object", {"input": {"text": "hi"}}, "input", _INPUT, "an object"),
    _type("input-mixed-text", {"input": ["a", 7]}, "input[1]", "a string", "an integer"),
    _type("input-mixed-token", {"input": [1, "a"]}, "input[1]", "an integer", "a string"),
    _type("input-mixed-list", {"input": [[1], "a"]}, "input[1]", "an array of integers", "a string"),
    _type("input-decimal", {"input": [[1.5]]}, "input[0][0]", "an integer", "a decimal number"),
    _type("input-boolean", {"input": [True]}, "input[0]", "an integer", "a boolean"),
    _type("input-item-null", {"input": [None]}, "input[0]", "a string", "null"),
    _empty("input-empty-text", "", "input", "string"),
    _empty("input-empty-array", [], "input", "array"),
    _empty("input-empty-item", ["a", ""], "input[1]", "string"),
    _empty("input-empty-tokens", [[1], []], "input[1]", "array"),
    _row(
        "input-negative",
        {"input": [3, -1]},
        "integer_below_min_value",
        "input[1]",
        "Invalid 'input[1]': integer below minimum value. Expected a value >= 0, but got -1 instead.",
    ),
    _row(
        "input-too-long",
        {"input": ["a"] * 2049, "dimensions": 0},
        "array_above_max_length",
        "input",
        "Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length 2049 instead.",
    ),
    _row(
        "dimensions-zero",
        {"dimensions": 0, "encoding_format": "zip"},
        "integer_below_min_value",
        "dimensions",
        "Invalid 'dimensions': integer below minimum value. Expected a value >= 1, but got 0 instead.",
    ),
    _type("dimensions-text", {"dimensions": "256"}, "dimensions", "an integer", "a string"),
    _row(
        "encoding-format",
        {"encoding_format": "zip", "user": 7},
        "invalid_value",
        "encoding_format",
        "Invalid value: 'zip'. Supported values are: 'float' and 'base64'.",
    ),
    _type("encoding-format-number", {"encoding_format": 7}, "encoding_format", "one of 'float' or 'base64'", "an integer"),
    _type("user", {"user": 7}, "user", "a string", "an integer"),
)
"""Requests that are refused for what they say, in whatever model."""

OTHER_KINDS: Final = (
    (
        "/api/v1/embeddings",
        "m",
        403,
        {
            "message": "You are not allowed to generate embeddings from this model",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
    ),
    (
        "/api/v1/chat/completions",
        "embed",
        404,
        {
            "message": "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
            "Did you mean to use v1/embeddings?",
            "type": "invalid_request_error",
            "param": "model",
            "code": None,
        },
    ),
)
"""Path, model, status and error of requests to a model that gives something else."""
