"""From a chat request to llama.cpp's request. Pure functions over dicts."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import to_json

from completions_mw.backends.models.chunks import wire_form
from completions_mw.backends.models.forced_calls import ForcedCall, forced_call
from completions_mw.errors import InvalidRequestError
from completions_mw.schemas import ChatRequest

_UNCHANGED_FIELDS: Final = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "response_format",
)
_TOOL_FIELDS: Final = ("tools", "tool_choice", "parallel_tool_calls")
IGNORED_PARAMS: Final = frozenset(ChatRequest.model_fields) - {
    *_UNCHANGED_FIELDS,
    *_TOOL_FIELDS,
    *("model", "messages", "n", "max_tokens", "max_completion_tokens", "stream", "stream_options", "functions", "function_call"),
}
"""Parameters of the API that change nothing here."""
_MESSAGE_FIELDS: Final = ("role", "name", "tool_calls", "tool_call_id")


def call_of(request: ChatRequest) -> ForcedCall | None:
    """Return the function call that the request forces, if any; a grammar makes llama.cpp write it."""
    return forced_call(wire_form(request))


def request_body(request: ChatRequest, call: ForcedCall | None, index: int) -> dict[str, Any]:
    """Return llama.cpp's request for the choice `index`: each choice is a request, since llama.cpp counts the tokens of one choice only.

    Raises:
        InvalidRequestError: a message holds more than text.
    """
    wire = wire_form(request)
    body = {name: wire[name] for name in _UNCHANGED_FIELDS if wire.get(name) is not None}
    messages = [_message(message, f"messages[{position}]") for position, message in enumerate(wire["messages"])]
    body |= {"messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    limit = wire.get("max_completion_tokens") or wire.get("max_tokens")
    if limit:
        body["max_tokens"] = limit
    if "seed" in body:
        # With the same seed all choices would be the same.
        body["seed"] = (body["seed"] + index) % 2**32
    if call:
        return _forcing(body, call)
    return body | {name: wire[name] for name in _TOOL_FIELDS if wire.get(name) is not None}


def _message(message: dict[str, Any], path: str) -> dict[str, Any]:
    sent = {name: message[name] for name in _MESSAGE_FIELDS if message.get(name) is not None}
    if sent["role"] == "developer":
        sent["role"] = "system"
    return {**sent, "content": _text(message.get("content"), f"{path}.content")}


def _text(content: str | list[dict[str, Any]] | None, path: str) -> str:
    if not isinstance(content, list):
        return content or ""
    for position, part in enumerate(content):
        if part["type"] not in ("text", "refusal"):
            raise InvalidRequestError(
                f"Invalid value: '{part['type']}'. This model only takes text.", param=f"{path}[{position}].type", code="invalid_value"
            )
    return "".join(part[part["type"]] for part in content)


def _forcing(body: dict[str, Any], call: ForcedCall) -> dict[str, Any]:
    """Add a response format that allows nothing but a call, and a note to the model that describes the functions."""
    one = len(call.functions) == 1
    wanted = "the arguments, as JSON, for the function" if one else "the name and the arguments, as JSON, of one of the functions"
    note = {"role": "system", "content": f"Answer with {wanted}: {to_json(call.functions).decode()}"}
    schema = _arguments(call.functions[0]) if one else {"oneOf": [_named(function) for function in call.functions]}
    response_format = {"type": "json_schema", "json_schema": {"name": "call", "schema": schema}}
    return {**body, "messages": _with_note(body["messages"], note), "response_format": response_format}


def _with_note(messages: list[dict[str, Any]], note: dict[str, Any]) -> list[dict[str, Any]]:
    """Put the note into the first system message: many chat templates take only one."""
    first, *rest = messages
    if first["role"] == "system":
        return [{**first, "content": f"{first['content']}\n\n{note['content']}"}, *rest]
    return [note, *messages]


def _arguments(function: Mapping[str, Any]) -> dict[str, Any]:
    return function.get("parameters") or {"type": "object", "properties": {}, "additionalProperties": False}


def _named(function: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, "arguments": _arguments(function)},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
