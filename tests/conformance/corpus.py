"""What the live OpenAI API answers to requests that are wrong in one way or in two: docs/contract.md, Validation, byte for byte.

Data only, for every host and for the validation alone. The base request asks for the model "m", which must exist; every row is HTTP 400
unless it says otherwise. Left out is what the live API refuses for one family of models alone, in `temperature`, `top_p`, `stop`,
`logit_bias`, `prediction` and `max_tokens`. Where that family has narrower bounds (`n` <= 8, `top_logprobs` <= 5), the rows have those
of OpenAI's OpenAPI description.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from completions_mw.errors import ErrorObject

MESSAGES: Final[list[dict[str, Any]]] = [{"role": "user", "content": "hi"}]
BASE: Final[dict[str, Any]] = {"model": "m", "messages": MESSAGES}

OPTIONAL_FIELDS: Final = (
    "functions",
    "function_call",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_completion_tokens",
    "n",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "user",
    "seed",
    "moderation",
    "safety_identifier",
    "prompt_cache_options",
    "prompt_cache_key",
    "prompt_cache_retention",
    "response_format",
    "service_tier",
    "max_tokens",
    "reasoning_effort",
    "logit_bias",
    "stop",
    "stream",
    "stream_options",
    "store",
    "metadata",
    "prediction",
    "verbosity",
    "modalities",
    "audio",
    "web_search_options",
    "top_k",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A request body and what must come back."""

    id: str
    """Number of the row and what is special about this variant of it."""
    body: bytes
    status: int = 400
    error: ErrorObject | None = None
    """The member `error` of the answer, complete; None where the request is accepted."""


def body_of(fragment: Mapping[str, Any], *, without: str | None = None) -> bytes:
    """Return the body of the base request with `fragment` merged into it."""
    return json.dumps({name: value for name, value in {**BASE, **fragment}.items() if name != without}).encode()


def _error(code: str | None, param: str | None, message: str) -> ErrorObject:
    return {"message": message, "type": "invalid_request_error", "param": param, "code": code}


def _refused(id: str, fragment: Mapping[str, Any], code: str | None, param: str | None, message: str) -> Row:
    return Row(id, body_of(fragment), error=_error(code, param, message))


def _accepted(id: str, fragment: Mapping[str, Any]) -> Row:
    return Row(id, body_of(fragment), status=200)


def _missing(id: str, fragment: Mapping[str, Any], param: str) -> Row:
    return _refused(id, fragment, "missing_required_parameter", param, f"Missing required parameter: '{param}'.")


def _unknown(id: str, fragment: Mapping[str, Any], param: str) -> Row:
    return _refused(id, fragment, "unknown_parameter", param, f"Unknown parameter: '{param}'.")


def _type(id: str, fragment: Mapping[str, Any], param: str, expected: str, got: str) -> Row:
    message = f"Invalid type for '{param}': expected {expected}, but got {got} instead."
    return _refused(id, fragment, "invalid_type", param, message)


def _value(id: str, fragment: Mapping[str, Any], param: str, value: str, supported: str) -> Row:
    return _refused(id, fragment, "invalid_value", param, f"Invalid value: '{value}'. Supported values are: {supported}.")


def _below(id: str, param: str, kind: str, bound: int, value: float) -> Row:
    message = f"Invalid '{param}': {kind} below minimum value. Expected a value >= {bound}, but got {value} instead."
    return _refused(id, {param: value}, f"{kind}_below_min_value", param, message)


def _above(id: str, param: str, kind: str, bound: int, value: float) -> Row:
    message = f"Invalid '{param}': {kind} above maximum value. Expected a value <= {bound}, but got {value} instead."
    return _refused(id, {param: value}, f"{kind}_above_max_value", param, message)


_NOT_JSON = _error(
    None,
    None,
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. "
    "The OpenAI API expects a JSON payload, but what was sent was not valid JSON. The first fault is at line 1 column 1. "
    "If you have trouble figuring out how to fix this, please contact whoever runs this server.)",
)
_NO_MODEL = _error(None, None, "you must provide a model parameter")
_LONG_NAME = "k" * 70

ROWS: Final = (
    Row("1", b"model=m", error=_NOT_JSON),
    Row("2-missing", body_of({}, without="model"), error=_NO_MODEL),
    Row("2-empty", body_of({"model": ""}), error=_NO_MODEL),
    Row("2-null", body_of({"model": None}), error=_NO_MODEL),
    _type("3", {"model": 7}, "model", "a string", "an integer"),
    Row(
        "4",
        body_of({"model": "gpt-does-not-exist"}),
        status=404,
        error=_error("model_not_found", None, "The model `gpt-does-not-exist` does not exist or you do not have access to it."),
    ),
    Row(
        "5",
        body_of({}, without="messages"),
        error=_error("missing_required_parameter", "messages", "Missing required parameter: 'messages'."),
    ),
    _refused(
        "6",
        {"messages": []},
        "empty_array",
        "messages",
        "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
    ),
    _type("7", {"messages": "hi"}, "messages", "an array of objects", "a string"),
    _type("8", {"messages": [7]}, "messages[0]", "an object", "an integer"),
    _missing("9", {"messages": [{"content": "x"}]}, "messages[0].role"),
    _value(
        "10",
        {"messages": [{"role": "bogus", "content": "x"}]},
        "messages[0].role",
        "bogus",
        "'system', 'assistant', 'user', 'function', 'tool', and 'developer'",
    ),
    _accepted("11-missing", {"messages": [{"role": "user"}]}),
    _accepted("11-null", {"messages": [{"role": "user", "content": None}]}),
    _type(
        "12",
        {"messages": [{"role": "user", "content": 7}]},
        "messages[0].content",
        "one of a string or array of objects",
        "an integer",
    ),
    *(
        _unknown(f"13-{name}", {name: 1}, name)
        for name in ("zzz_unknown", "reasoning", "text", "input", "instructions", "max_output_tokens")
    ),
    _below("14", "n", "integer", 1, 0),
    _above("15", "n", "integer", 128, 129),
    _type("16-string", {"n": "2"}, "n", "an integer", "a string"),
    _type("16-decimal", {"n": 1.5}, "n", "an integer", "a decimal number"),
    _type("16-boolean", {"n": True}, "n", "an integer", "a boolean"),
    _below("17", "max_completion_tokens", "integer", 1, 0),
    _type("18", {"temperature": "x"}, "temperature", "a decimal", "a string"),
    _above("19-above", "temperature", "decimal", 2, 2.1),
    _below("19-below", "temperature", "decimal", 0, -0.1),
    _above("22-above", "frequency_penalty", "decimal", 2, 3),
    _below("22-below", "presence_penalty", "decimal", -2, -3),
    _below("23", "top_logprobs", "integer", 0, -1),
    _refused(
        "24",
        {"logprobs": True, "top_logprobs": 21},
        None,
        "top_logprobs",
        "Invalid value for 'top_logprobs': must be less than or equal to 20.",
    ),
    _refused(
        "25",
        {"top_logprobs": 1},
        None,
        "top_logprobs",
        "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
    ),
    _type("26", {"stream": "yes"}, "stream", "a boolean", "a string"),
    _refused(
        "27",
        {"stream_options": {"include_usage": True}},
        None,
        "stream_options",
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    ),
    _unknown("28", {"stream_options": {"bogus": 1}}, "stream_options.bogus"),
    _missing("29", {"response_format": {}}, "response_format.type"),
    _value("30", {"response_format": {"type": "bogus"}}, "response_format.type", "bogus", "'json_object', 'json_schema', and 'text'"),
    _missing("31-schema", {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    _missing("31-name", {"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
    _missing("32-function", {"tools": [{"type": "function"}]}, "tools[0].function"),
    _missing("32-name", {"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    _missing("33", {"functions": [{"parameters": {}}]}, "functions[0].name"),
    _value("34", {"tool_choice": "bogus"}, "tool_choice", "bogus", "'none', 'auto', and 'required'"),
    _missing("35", {"tool_choice": {"type": "bogus"}}, "tool_choice.function"),
    _missing("36", {"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
    _type("37", {"tool_choice": 7}, "tool_choice", "one of one of 'none', 'auto', or 'required' or object", "an integer"),
    _refused(
        "38",
        {"metadata": {f"k{number}": "v" for number in range(17)}},
        "object_above_max_properties",
        "metadata",
        "Invalid 'metadata': too many properties. "
        "Expected an object with at most 16 properties, but got an object with 17 properties instead.",
    ),
    _refused(
        "39",
        {"metadata": {"k": "v" * 600}},
        "string_above_max_length",
        "metadata.k",
        "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with length 600 instead.",
    ),
    _refused(
        "40",
        {"metadata": {_LONG_NAME: "v"}},
        "property_name_above_max_length",
        f"metadata.{_LONG_NAME}",
        "Invalid property name in 'metadata': 'kkk...kkk' is too long. "
        "Expected a string with maximum length 64, but got a string with length 70 instead.",
    ),
    _type("41", {"metadata": {"k": 1}}, "metadata.k", "a string", "an integer"),
    _value("42-value", {"service_tier": "bogus"}, "service_tier", "bogus", "'auto', 'default', 'fast', 'flex', and 'priority'"),
    _type("42-type", {"service_tier": 7}, "service_tier", "one of 'auto', 'default', 'fast', 'flex', or 'priority'", "an integer"),
    _value("43", {"verbosity": "bogus"}, "verbosity", "bogus", "'low', 'medium', and 'high'"),
    _refused(
        "44",
        {"reasoning_effort": "bogus"},
        "unsupported_value",
        "reasoning_effort",
        "Unsupported value: 'reasoning_effort' does not support 'bogus' with this model. "
        "Supported values are: 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'.",
    ),
    _type("45", {"prompt_cache_retention": 7}, "prompt_cache_retention", "one of 'in_memory' or '24h'", "an integer"),
    _unknown("46", {"prompt_cache_options": {"bogus": 1}}, "prompt_cache_options.bogus"),
    _missing("47", {"moderation": {}}, "moderation.model"),
    _type("48", {"seed": 1.5}, "seed", "an integer", "a decimal number"),
    _refused(
        "49",
        {"stop": ["a", "b", "c", "d", "e"]},
        "array_above_max_length",
        "stop",
        "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead.",
    ),
    _accepted("51", dict.fromkeys(OPTIONAL_FIELDS)),
)
"""The numbered rows."""


def _first(id: str, first: Row, second: Mapping[str, Any], *, without: str | None = None) -> Row:
    """Return a row with a second fault, which must not be the one that is reported."""
    return Row(id, body_of({**json.loads(first.body), **second}, without=without), error=first.error)


_UNKNOWN = _unknown("", {"zzz_unknown": 1}, "zzz_unknown")
_N = _type("", {"n": "2"}, "n", "an integer", "a string")
_STOP = _type("", {"stop": 7}, "stop", "one of a string or array of strings", "an integer")
_METADATA = _type("", {"metadata": 7}, "metadata", "an object", "an integer")
_HOT: Final = {"temperature": 2.1}

ORDER_ROWS: Final = (
    _first("model-unknown", Row("", body_of({}), error=_NO_MODEL), {"zzz_unknown": 1}, without="model"),
    _first("model-messages", Row("", body_of({}), error=_NO_MODEL), {"messages": [], "model": None}),
    _first(
        "messages-unknown",
        Row("", body_of({}), error=_error("missing_required_parameter", "messages", "Missing required parameter: 'messages'.")),
        {"zzz_unknown": 1},
        without="messages",
    ),
    _first("unknown-n_type", _UNKNOWN, {"n": "2"}),
    _first("unknown-empty_messages", _UNKNOWN, {"messages": []}),
    _first("unknown-stop", _UNKNOWN, {"stop": 7}),
    _first("unknown-service_tier", _UNKNOWN, {"service_tier": "bogus"}),
    _first("unknown-reasoning_effort", _UNKNOWN, {"reasoning_effort": "bogus"}),
    _first("unknown-n_bound", _UNKNOWN, {"n": 0}),
    _first("n-stop", _N, {"stop": 7}),
    _first("n-temperature_value", _N, _HOT),
    _first("stop-temperature_value", _STOP, _HOT),
    _first("temperature_type-stop", _type("", {"temperature": "x"}, "temperature", "a decimal", "a string"), {"stop": 7}),
    _first("seed-service_tier", _type("", {"seed": "x"}, "seed", "an integer", "a string"), {"service_tier": "bogus"}),
    _first("n-metadata", _N, {"metadata": 7}),
    _first("max_completion_tokens-logprobs", _below("", "max_completion_tokens", "integer", 1, 0), {"logprobs": 7}),
    _first("messages-metadata", _type("", {"messages": "hi"}, "messages", "an array of objects", "a string"), {"metadata": 7}),
    _first("n-moderation", _N, {"moderation": {}}),
    _first("stream-store", _type("", {"stream": "yes"}, "stream", "a boolean", "a string"), {"store": 7}),
    _first("tools-top_logprobs", _missing("", {"tools": [{"type": "function"}]}, "tools[0].function"), {"top_logprobs": -1}),
    _first("user-verbosity", _type("", {"user": 7}, "user", "a string", "an integer"), {"verbosity": "bogus"}),
    _first("functions-function_call", _missing("", {"functions": [{"parameters": {}}]}, "functions[0].name"), {"function_call": "bogus"}),
    _first(
        "prompt_cache_options-prompt_cache_key",
        _unknown("", {"prompt_cache_options": {"bogus": 1}}, "prompt_cache_options.bogus"),
        {"prompt_cache_key": 7},
    ),
    _first("max_tokens-store", _below("", "max_tokens", "integer", 1, 0), {"store": 7}),
    _first("stop-stream_options", _STOP, {"stream_options": {"bogus": 1}}),
    _first("stop-verbosity", _STOP, {"verbosity": "bogus"}),
    _first("metadata-prediction", _METADATA, {"prediction": {}}),
    _first("logit_bias-verbosity", _type("", {"logit_bias": 7}, "logit_bias", "an object", "an integer"), {"verbosity": "bogus"}),
    _first("metadata-temperature_value", _METADATA, _HOT),
    _first(
        "verbosity-logprobs_value",
        _value("", {"verbosity": "bogus"}, "verbosity", "bogus", "'low', 'medium', and 'high'"),
        {"logprobs": True, "top_logprobs": 21},
    ),
)
"""Two faults in one body; the id names the one that is reported first."""
