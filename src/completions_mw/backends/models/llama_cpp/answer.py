"""From llama.cpp's chunks to chunks of the API. Pure functions over dicts."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json

from completions_mw.backends.models.forced_calls import ForcedCall
from completions_mw.core.streaming.pieces import Chunk, chunk
from completions_mw.errors import GatewayError, InvalidRequestError, UpstreamError


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
            raise _native_error(native["error"])
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


def _native_error(error: Mapping[str, Any]) -> GatewayError:
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
