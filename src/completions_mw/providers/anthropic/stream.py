"""A streamed answer of Anthropic's Messages API: named events, of blocks that begin, go on and end.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw.errors import UpstreamError
from completions_mw.providers.anthropic.answer import call_of, envelope_of, finish_of, is_signed, refusal_of, unusable, usage_of
from completions_mw.providers.anthropic.errors import reported_error
from completions_mw.providers.base import Translator
from completions_mw.providers.lenient_json import read_first_json
from completions_mw.sse import DONE, Decoder, Event

_CHUNK_OBJECT: Final = "chat.completion.chunk"


def open_stream(max_event_bytes: int) -> Translator:
    """Return the translator of one streamed answer."""
    return _Events(max_event_bytes)


@dataclass(slots=True)
class _Block:
    """A block of the answer that has begun."""

    start: dict[str, Any]
    number: int = 0
    """Position among the tool calls, if it is one."""
    texts: list[str] = field(default_factory=list)
    """Pieces of a thought, which the API takes back as a whole only."""
    signature: str = ""


class _Events(Translator):
    __slots__ = ("_blocks", "_calls", "_decoder", "_envelope", "_has_reason", "_is_ended", "_opening", "_thoughts", "_usage")

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__()
        self._decoder = Decoder(max_event_bytes)
        self._envelope: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._thoughts = 0
        self._opening: Event | None = None
        self._has_reason = False
        self._is_ended = False

    def _translate(self, piece: bytes, events: list[Event]) -> None:
        for event in self._decoder.feed(piece):
            if self._is_ended:
                return
            try:
                self._take(from_json(event.data), events)
            except (ValueError, LookupError, TypeError, AttributeError):
                raise unusable() from None

    def _finish(self, events: list[Event]) -> None:
        if self._is_ended:
            return
        rest = self._decoder.end()
        data = None if rest is None else read_first_json(rest.data)
        # Only an error: any other event that nothing ended may have been cut.
        if isinstance(data, dict) and data.get("type") == "error":
            raise reported_error(data)
        raise UpstreamError("The upstream provider ended its answer before it was complete.", code="upstream_incomplete")

    def _take(self, data: dict[str, Any], events: list[Event]) -> None:
        """Append the chunks that an event becomes. New types of events may come at any time, and are left out."""
        match data["type"]:
            case "content_block_delta":
                self._go_on(self._blocks[data["index"]], data["delta"], events)
            case "content_block_start":
                self._open(events)
                self._begin(data["index"], data["content_block"], events)
            case "content_block_stop":
                self._end(self._blocks.pop(data["index"]), events)
            case "message_start":
                message = data["message"]
                self._envelope = envelope_of(message, _CHUNK_OBJECT)
                self._usage = dict(message["usage"])
                self._opening = self._chunk({"role": "assistant", "content": ""}, usage=usage_of(self._usage))
            case "message_delta":
                self._open(events)
                delta = data["delta"]
                # The counts are those of the whole answer so far.
                self._usage |= {name: count for name, count in data.get("usage", {}).items() if count is not None}
                if refusal := refusal_of(delta):
                    events.append(self._chunk({"refusal": refusal}))
                events.append(self._chunk({}, usage=usage_of(self._usage), **finish_of(delta)))
                self._has_reason = delta["stop_reason"] is not None
            case "message_stop" if self._has_reason:
                self._is_ended = True
                events.append(DONE)
            case "message_stop":
                raise ValueError("no reason")
            case "error":
                raise reported_error(data)

    def _open(self, events: list[Event]) -> None:
        """Append the first chunk, which waits for the answer itself: an overloaded API begins a message before it reports an error."""
        if self._opening is not None:
            events.append(self._opening)
            self._opening = None

    def _begin(self, index: int, block: dict[str, Any], events: list[Event]) -> None:
        kind = block["type"]
        if kind == "tool_use":
            self._blocks[index] = _Block(block, self._calls)
            # A block that begins with its input has no pieces of it.
            arguments = to_json(block["input"]).decode() if block.get("input") else ""
            events.append(self._chunk({"tool_calls": [{"index": self._calls, **call_of(block, arguments)}]}))
            self._calls += 1
            return
        self._blocks[index] = _Block(block)
        if kind == "thinking":
            self._blocks[index].signature = block.get("signature", "")
            self._go_on(self._blocks[index], {"type": "thinking_delta", "thinking": block["thinking"]}, events)
        elif kind == "text":
            self._go_on(self._blocks[index], {"type": "text_delta", "text": block["text"]}, events)

    def _go_on(self, block: _Block, delta: dict[str, Any], events: list[Event]) -> None:
        match delta["type"]:
            case "text_delta":
                if delta["text"]:
                    events.append(self._chunk({"content": delta["text"]}))
            case "input_json_delta":
                # Also of tools that the API runs itself, which are not calls for the client.
                if block.start["type"] == "tool_use" and delta["partial_json"]:
                    piece = {"index": block.number, "function": {"arguments": delta["partial_json"]}}
                    events.append(self._chunk({"tool_calls": [piece]}))
            case "thinking_delta":
                if delta["thinking"]:
                    block.texts.append(delta["thinking"])
                    events.append(self._chunk({"reasoning_content": delta["thinking"]}))
            case "signature_delta":
                block.signature += delta["signature"]

    def _end(self, block: _Block, events: list[Event]) -> None:
        """Append what is known only when a block is complete: a thought with its signature, to be sent back."""
        thought = block.start
        if thought["type"] == "thinking":
            thought = {"type": "thinking", "thinking": "".join(block.texts), "signature": block.signature}
        if is_signed(thought):
            events.append(self._chunk({"thinking_blocks": [{"index": self._thoughts, **thought}]}))
            self._thoughts += 1

    def _chunk(self, delta: dict[str, Any], *, usage: dict[str, Any] | None = None, **members: Any) -> Event:
        """Return a chunk.

        Raises:
            ValueError: the message has not begun.
        """
        if not self._envelope:
            raise ValueError("no message")
        choice = {"index": 0, "delta": delta, "finish_reason": None, **members}
        return Event({**self._envelope, "choices": [choice], **({} if usage is None else {"usage": usage})})
