"""Streams of Bedrock: the events of a message, each in a frame.

A message starts, its content blocks start, go on and stop, the message stops, and metadata with the usage ends the answer. Source:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html.
"""

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from completions_mw.errors import UpstreamError
from completions_mw.providers.base import Translator
from completions_mw.providers.bedrock.answer import reason_of, thinking_blocks, tier_of, unusable, usage_of
from completions_mw.providers.bedrock.errors import reported_error
from completions_mw.providers.bedrock.frames import Frame, FrameDecoder
from completions_mw.sse import DONE, Event


def open_stream(max_event_bytes: int) -> Translator:
    """Return the translator of one streamed answer."""
    return _Message(max_event_bytes)


class _Message(Translator):
    __slots__ = ("_calls", "_decoder", "_has_stopped", "_is_whole", "_reasoning", "_thoughts")

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__()
        self._decoder = FrameDecoder(max_event_bytes)
        self._calls: dict[int, int] = {}
        """Position of a call among the calls, by the index of its content block."""
        self._reasoning: dict[int, dict[str, Any]] = {}
        """Reasoning that goes on, by the index of its content block."""
        self._thoughts = 0
        """Number of blocks of reasoning that are complete."""
        self._has_stopped = False
        self._is_whole = False

    def _translate(self, piece: bytes, events: list[Event]) -> None:
        for frame in self._decoder.feed(piece):
            kind = frame.headers.get(":message-type")
            if kind != "event":
                name = frame.headers.get(":exception-type") or frame.headers.get(":error-code") or ""
                raise reported_error(name, frame.payload)
            try:
                self._take(frame, events)
            except (LookupError, TypeError, ValueError, AttributeError):
                raise unusable() from None

    def _finish(self, events: list[Event]) -> None:
        if not self._is_whole:
            raise UpstreamError("The upstream provider ended its answer before it was complete.", code="upstream_incomplete")

    def _take(self, frame: Frame, events: list[Event]) -> None:
        name, event = frame.headers[":event-type"], from_json(frame.payload, allow_inf_nan=False)
        match name:
            case "messageStart":
                events.append(_chunk({"role": event["role"], "content": ""}))
            case "contentBlockStart":
                if delta := self._first_delta(event["contentBlockIndex"], event["start"]):
                    events.append(_chunk(delta))
            case "contentBlockDelta":
                if delta := self._next_delta(event["contentBlockIndex"], event["delta"]):
                    events.append(_chunk(delta))
            case "contentBlockStop":
                # Known only as a whole, since a signature is of the whole text.
                for block in thinking_blocks([self._reasoning.pop(event["contentBlockIndex"], {})]):
                    events.append(_chunk({"thinking_blocks": [{"index": self._thoughts, **block}]}))
                    self._thoughts += 1
            case "messageStop":
                events.append(_chunk({}, reason_of(event["stopReason"])))
                self._has_stopped = True
            case "metadata" if self._has_stopped:
                events.append(Event({"choices": [], "usage": usage_of(event["usage"]), **tier_of(event)}))
                events.append(DONE)
                self._is_whole = True

    def _first_delta(self, index: int, start: Mapping[str, Any]) -> dict[str, Any]:
        """Return the delta with which a content block begins: empty, but for a call."""
        if "toolUse" not in start:
            return {}
        position = self._calls[index] = len(self._calls)
        function = {"name": start["toolUse"]["name"], "arguments": ""}
        return {"tool_calls": [{"index": position, "id": start["toolUse"]["toolUseId"], "type": "function", "function": function}]}

    def _next_delta(self, index: int, delta: Mapping[str, Any]) -> dict[str, Any]:
        """Return the delta with which a content block goes on."""
        if "text" in delta:
            return {"content": delta["text"]}
        if "toolUse" in delta:
            return {"tool_calls": [{"index": self._calls[index], "function": {"arguments": delta["toolUse"]["input"]}}]}
        if "reasoningContent" not in delta:
            return {"content_parts": [dict(delta)]}
        thought = delta["reasoningContent"]
        if "redactedContent" in thought:
            self._reasoning[index] = dict(thought)
            return {}
        block = self._reasoning.setdefault(index, {"reasoningText": {"text": ""}})["reasoningText"]
        for name, text in thought.items():
            block[name] = block.get(name, "") + text
        return {"reasoning_content": thought["text"]} if "text" in thought else {}


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> Event:
    return Event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})
