"""From a chat request to llama.cpp's request, and from llama.cpp's chunks to chunks of the API. Pure functions over dicts."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw.backends.models.chunks import wire_form
from completions_mw.backends.models.forced_calls import ForcedCall, forced_call
from completions_mw.core.streaming.pieces import Chunk, chunk
from completions_mw.errors import GatewayError, InvalidRequestError, UpstreamError
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


class ChoiceReader:
    """Reads llama.cpp's chunks for one choice.

    Args:
        index: the choice's index in the answer.
        call: the function call that the text stands for, if the request forces one.
    """

    __slots__ = ("_call", "_index", "_opened", "_written", "usage")

    def __init__(self, index: int, call: ForcedCall | None) -> None:
        self._index = index
        self._call = call
        self._opened = False
        self._written: list[str] = []
        self.usage: dict[str, Any] | None = None

    def read(self, native: Mapping[str, Any]) -> list[Chunk]:
        """Return the chunks for one chunk of llama.cpp, without its other members: one of them names a path of this machine.

        Raises:
            GatewayError: llama.cpp reports an error.
        """
        if "error" in native:
            raise native_error(native["error"])
        self.usage = native.get("usage") or self.usage
        return [part for choice in native["choices"] for part in self._choice(choice)]

    def _choice(self, choice: Mapping[str, Any]) -> list[Chunk]:
        delta = {name: value for name, value in choice["delta"].items() if value is not None}
        reason = choice.get("finish_reason")
        deltas = self._call_deltas(delta.get("content", ""), self._call, reason) if self._call else [delta] if delta else []
        parts = [chunk(made, index=self._index) for made in deltas]
        if parts and choice.get("logprobs") and not self._call:
            parts[0]["choices"][0]["logprobs"] = _logprobs(choice["logprobs"])
        if reason:
            called = self._call and self._opened and reason == "stop"
            parts.append(chunk({}, index=self._index, finish_reason=self._call.finish_reason if self._call and called else reason))
        return parts

    def _call_deltas(self, text: str, call: ForcedCall, reason: str | None) -> list[dict[str, Any]]:
        """Return the deltas for a part of a call's text: at once for a single function, else at the end, when the function is known."""
        if len(call.functions) == 1:
            return self._continued(call, call.functions[0]["name"], text) if text else []
        self._written.append(text)
        if reason != "stop":
            return []
        written = from_json("".join(self._written))
        return self._continued(call, written["name"], to_json(written["arguments"]).decode())

    def _continued(self, call: ForcedCall, name: str, arguments: str) -> list[dict[str, Any]]:
        opening = [] if self._opened else [call.opening(name)]
        self._opened = True
        return [*opening, call.fragment(arguments)]


def _logprobs(native: Mapping[str, Any]) -> dict[str, Any]:
    """Return log probabilities without llama.cpp's token numbers."""
    content = [
        {**_without_id(token), "top_logprobs": [_without_id(other) for other in token.get("top_logprobs") or ()]}
        for token in native.get("content") or ()
    ]
    return {"content": content, "refusal": None}


def _without_id(token: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in token.items() if name != "id"}


def total_usage(choices: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the usage of an answer: its prompt is counted once, its completions are summed (docs/contract.md, Answers)."""
    completion = sum(usage["completion_tokens"] for usage in choices)
    return {**choices[0], "completion_tokens": completion, "total_tokens": choices[0]["prompt_tokens"] + completion}


def native_error(error: Mapping[str, Any]) -> GatewayError:
    """Return the error of the gateway for one that llama.cpp reports."""
    if error.get("type") == "exceed_context_size_error":
        return InvalidRequestError(
            f"This model's maximum context length is {error['n_ctx']} tokens. However, your messages resulted in "
            f"{error['n_prompt_tokens']} tokens. Please reduce the length of the messages.",
            param="messages",
            code="context_length_exceeded",
        )
    if error.get("code") == 400:
        return InvalidRequestError(str(error.get("message")))
    return UpstreamError("The model could not answer.")
