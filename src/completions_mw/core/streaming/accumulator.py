"""Adds up the chunks of one answer, to complete a stream or to make one `chat.completion` of the chunks."""

from typing import Any

from completions_mw.core.costs.tokens import estimate_usage
from completions_mw.core.streaming.pieces import Chunk, chunk, finish_reason, opened_call, opened_function, usage_chunk
from completions_mw.schemas import ChatRequest

_LOGPROBS_FIELDS = ("content", "refusal")
_MERGED_FIELDS = ("role", "tool_calls", "function_call")
_ENVELOPE_FIELDS = ("id", "created", "model", "service_tier", "system_fingerprint")


class Accumulator:
    """The answer of a model so far.

    Args:
        request: what the model answers; usage is estimated from it where the model reports none.
    """

    __slots__ = ("_choices", "_envelope", "_request", "_usage")

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._choices: dict[int, _ChoiceAccumulator] = {}
        self._envelope: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None

    def add(self, part: Chunk) -> Chunk:
        """Add one chunk, and return it with the id, type and arguments that the model left out where a tool call begins.

        Raises:
            TypeError: a tool call begins without a name.
        """
        self._envelope.update({name: part[name] for name in _ENVELOPE_FIELDS if part.get(name) is not None})
        self._usage = part.get("usage") or self._usage
        return {**part, "choices": [self._choice(choice["index"]).add(choice) for choice in part["choices"]]}

    def closing(self) -> list[Chunk]:
        """Return the chunks that the model left out: finish reasons and usage."""
        self._choice(0)
        chunks = [chunk({}, index=index, finish_reason=choice.reason()) for index, choice in self._sorted() if choice.finish_reason is None]
        return chunks if self._usage else [*chunks, usage_chunk(self._estimate())]

    def completion(self) -> dict[str, Any]:
        """Return the whole answer; the core fills in `id`, `created` and `model`."""
        self._choice(0)
        choices = [
            {"index": index, "message": choice.message(), "logprobs": choice.logprobs, "finish_reason": choice.reason()}
            for index, choice in self._sorted()
        ]
        return {**self._envelope, "object": "chat.completion", "choices": choices, "usage": self._usage or self._estimate()}

    def _choice(self, index: int) -> "_ChoiceAccumulator":
        return self._choices.setdefault(index, _ChoiceAccumulator())

    def _sorted(self) -> list[tuple[int, "_ChoiceAccumulator"]]:
        return sorted(self._choices.items())

    def _estimate(self) -> dict[str, Any]:
        return estimate_usage(self._request, sum(choice.characters() for choice in self._choices.values()))


class _ChoiceAccumulator:
    """One choice of an answer so far."""

    __slots__ = ("_calls", "_fields", "_function_call", "_texts", "finish_reason", "logprobs")

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._function_call: dict[str, Any] = {}
        self._fields: dict[str, Any] = {}
        self.logprobs: dict[str, Any] | None = None
        self.finish_reason: str | None = None

    def add(self, choice: dict[str, Any]) -> dict[str, Any]:
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        if part := choice.get("logprobs"):
            whole = self.logprobs or {}
            self.logprobs = {name: [*(whole.get(name) or ()), *(part.get(name) or ())] or None for name in _LOGPROBS_FIELDS}
        delta = choice.get("delta") or {}
        if delta.get("tool_calls"):
            delta = {**delta, "tool_calls": [self._add_call(call) for call in delta["tool_calls"]]}
        if delta.get("function_call"):
            delta = {**delta, "function_call": self._add_function(delta["function_call"])}
        for name, value in delta.items():
            if value is not None and name not in _MERGED_FIELDS:
                self._add_field(name, value)
        return {**choice, "delta": delta}

    def _add_field(self, name: str, value: Any) -> None:
        if isinstance(value, str):
            self._texts.setdefault(name, []).append(value)
        else:
            self._fields[name] = value

    def _add_call(self, fragment: dict[str, Any]) -> dict[str, Any]:
        index = self._index_of(fragment)
        if index not in self._calls:
            fragment = opened_call(fragment, "")
        _merge(self._calls.setdefault(index, {}), fragment)
        return {"index": index, **fragment}

    def _index_of(self, fragment: dict[str, Any]) -> int:
        """Return the index of the call that a fragment belongs to. Without an index, an id or a name in the fragment begins a new call."""
        if "index" in fragment:
            return int(fragment["index"])
        known = {call["id"]: index for index, call in self._calls.items()}
        begins = fragment.get("id") or (fragment.get("function") or fragment.get("custom") or {}).get("name")
        return known.get(fragment.get("id"), max(self._calls, default=-1) + (1 if begins or not known else 0))

    def _add_function(self, fragment: dict[str, Any]) -> dict[str, Any]:
        if not self._function_call:
            fragment = opened_function(fragment, arguments="")
        _merge(self._function_call, fragment)
        return fragment

    def reason(self) -> str:
        """Return the finish reason: the model's, else the one that follows from the choice's content."""
        return self.finish_reason or finish_reason({"tool_calls": self._calls, "function_call": self._function_call})

    def message(self) -> dict[str, Any]:
        called = bool(self._calls or self._function_call)
        texts = {name: "".join(parts) for name, parts in self._texts.items()}
        silent = None if called or "refusal" in texts else ""
        content, refusal = texts.pop("content", None) or silent, texts.pop("refusal", None)
        message = {"role": "assistant", "content": content, "refusal": refusal, **texts, **self._fields}
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        return {**message, "function_call": self._function_call} if self._function_call else message

    def characters(self) -> int:
        """Return the length of the text and of the arguments of all calls, in characters."""
        calls = [call.get("function") or {} for call in self._calls.values()]
        arguments = [call.get("arguments") or "" for call in (*calls, self._function_call)]
        return sum(map(len, arguments)) + sum(len(part) for parts in self._texts.values() for part in parts)


def _merge(call: dict[str, Any], fragment: dict[str, Any]) -> None:
    """Add a fragment of a tool call: arguments and inputs are joined, other members come once (docs/contract.md, Streams)."""
    for name, value in fragment.items():
        if value is None or name == "index":
            continue
        if name in ("arguments", "input"):
            call[name] = call.get(name, "") + value
        elif isinstance(value, dict):
            _merge(call.setdefault(name, {}), value)
        else:
            call[name] = value
