"""One choice of a streamed answer, brought to the grammar (docs/contract.md, Streams)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from completions_mw.core.answers.finish_reasons import FINISH_REASONS, INTERRUPTED, native_reason, read_reason
from completions_mw.core.answers.message import has_text_only, message_in, with_text
from completions_mw.core.answers.tool_calls import ToolCalls
from completions_mw.core.answers.usage import UsageMeter
from completions_mw.core.costs.tokens import size_of
from completions_mw.errors import UpstreamError

_READ_MEMBERS: Final = frozenset({"index", "delta", "message", "text", "finish_reason", "logprobs", "usage", "error"})
_TEXT_MEMBERS: Final = frozenset({"content", "refusal", "reasoning_content"})
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})

Step = dict[str, Any]
"""A choice of a chunk that takes one step of the grammar."""


class ChoiceGrammar:
    """Brings one choice of an answer to the grammar: its opening, its text and calls, and its end, which is held back.

    Args:
        index: position of the choice.
        meter: counts the size of the answer.
    """

    __slots__ = (
        "_half",
        "_has_deltas",
        "_has_function_call",
        "_meter",
        "calls",
        "end",
        "index",
        "is_end_sure",
        "is_ended",
        "is_open",
        "is_plain",
        "reason",
    )

    def __init__(self, index: int, meter: UsageMeter) -> None:
        self.index = index
        self.calls = ToolCalls()
        self.is_open = False
        """Whether the client has the first chunk, with the role."""
        self.is_plain = False
        """Whether the next chunk may pass as it is: the choice is open, and nothing of it is held back."""
        self.reason: str | None = None
        """The finish reason that the target gave last, in OpenAI's word or as `INTERRUPTED`; None before."""
        self.end: Step | None = None
        """The last step, which is held back until nothing can follow it."""
        self.is_end_sure = False
        """Whether the target sent the last step as a chunk of its own: some repeat their finish reason with every text."""
        self.is_ended = False
        """Whether the client has the last step."""
        self._meter = meter
        self._has_deltas = False
        self._has_function_call = False
        self._half = ""
        """First half of a surrogate pair, for which the other is awaited."""

    def follows(self, choice: Mapping[str, Any]) -> bool:
        """Return whether a choice is the next step without changes, and record it. Only for choices that are plain."""
        delta = choice.get("delta")
        if type(delta) is not dict or choice.get("finish_reason", False) is not None:
            return False
        size = 0
        for name, value in delta.items():
            if name == "role":
                return False
            if type(value) is str:
                if value.isascii():
                    size += len(value)
                    continue
                try:
                    size += len(value.encode())
                except UnicodeEncodeError:
                    return False
            elif value is not None and name in _TEXT_MEMBERS:
                return False
        if "tool_calls" in delta or "function_call" in delta:
            if not (has_text_only(delta) and self.calls.follow(delta.get("tool_calls"))):
                return False
            size = size_of(delta)
            self._has_function_call = self._has_function_call or bool(delta.get("function_call"))
        self._has_deltas = self._has_deltas or bool(delta)
        self._meter.characters += size
        return True

    def steps(self, choice: Step) -> list[Step]:
        """Return the steps that a choice combines, without the last one, which becomes `end`; `choice` itself if it is one step.

        Raises:
            UpstreamError: the target goes on with a choice that the client was told is complete.
        """
        if self.is_plain and self.follows(choice):
            return [choice]
        if self._opens(choice):
            return [choice]
        reason = read_reason(choice.get("finish_reason"))
        if self.is_plain and reason in FINISH_REASONS and choice.get("delta") == {} and choice["finish_reason"] == reason:
            self._hold(reason, choice)
            self.is_end_sure = True
            return []
        return self._taken_apart(choice, reason)

    def last_steps(self, *, is_forced: bool) -> Iterator[Step]:
        """Return the steps that end the choice; `stop` if the target gave no reason.

        Args:
            is_forced: whether the client forced a call, for which OpenAI's own reason is `stop`.

        Raises:
            UpstreamError: a call has no name.
        """
        if self._half:
            self._half = ""
            yield _step(self.index, {"content": "\ufffd"})
        if pieces := self.calls.end():
            yield _step(self.index, {"tool_calls": pieces})
        reason = self.reason or "stop"
        if reason == "stop" and not (is_forced and self.reason):
            reason = "tool_calls" if self.calls else "function_call" if self._has_function_call else reason
        end = self.end or _step(self.index, {}, reason)
        self.is_ended, self.is_plain, self.reason = True, False, reason
        yield end if end["finish_reason"] == reason else {**end, "finish_reason": reason}

    def _opens(self, choice: Step) -> bool:
        """Return whether a choice is an opening without changes, and record it: the role, and calls, but no text."""
        delta = choice.get("delta")
        if self.is_open or type(delta) is not dict or type(choice.get("index")) is not int:
            return False
        if choice.get("finish_reason", False) is not None or delta.get("role") != "assistant":
            return False
        if delta.get("content", False) not in (None, "") or not has_text_only(delta):
            return False
        if "tool_calls" in delta and not self.calls.follow(delta["tool_calls"]):
            return False
        self._has_function_call = bool(delta.get("function_call"))
        self._meter.characters += size_of(delta)
        self.is_open = self.is_plain = True
        return True

    def _taken_apart(self, choice: Step, reason: str | None) -> list[Step]:
        delta = self._delta_of(choice)
        others = {name: value for name, value in choice.items() if name not in _READ_MEMBERS}
        if self.is_ended and delta:
            raise UpstreamError("The upstream provider went on with an answer after its end.", code="upstream_protocol_error")
        steps: list[Step] = []
        if not self.is_open:
            self.is_open, self.is_plain = True, not self._half
            steps.append(_step(self.index, {"role": "assistant", "content": ""}))
        self._meter.characters += size_of(delta)
        if reason is None or self.is_ended:
            if delta or any(value not in _EMPTY for value in others.values()):
                steps.append({**_step(self.index, delta), **others})
        else:
            if delta:
                steps.append(_step(self.index, delta))
            self._hold(reason, {**_step(self.index, {}, reason), **native_reason(choice.get("finish_reason")), **others})
        if choice.get("logprobs") is not None:
            target = steps[-1] if steps else self.end
            if target is not None:
                target["logprobs"] = choice["logprobs"]
        return steps

    def _delta_of(self, choice: Step) -> dict[str, Any]:
        """Return what a choice adds to the answer, as it is sent, without the role and without members that add nothing."""
        given = message_in(choice, "delta")
        if given is None or (not given and choice.get("message")):
            # A message beside deltas repeats them.
            given = message_in(choice, "message") if not self._has_deltas else None
        elif any(value not in _EMPTY for name, value in given.items() if name != "role"):
            self._has_deltas = True
        delta = with_text(given or {})
        delta.pop("role", None)
        if delta.get("tool_calls"):
            delta["tool_calls"] = self.calls.take(delta["tool_calls"], is_over=self.reason is not None)
        self._has_function_call = self._has_function_call or bool(delta.get("function_call"))
        for name, value in delta.items():
            if isinstance(value, str):
                delta[name] = self._joined(name, value)
        return {name: value for name, value in delta.items() if value not in _EMPTY}

    def _joined(self, name: str, text: str) -> str:
        """Return a text without halves of surrogate pairs; a half at the end of the content waits for the other one."""
        if name == "content":
            text, self._half = self._half + text, ""
            if "\ud800" <= text[-1:] <= "\udbff":
                text, self._half = text[:-1], text[-1]
            self.is_plain = self.is_open and self.reason is None and not self._half
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _hold(self, reason: str, end: Step) -> None:
        self.is_plain = self.is_end_sure = False
        # Once it was cut, no later word makes it whole.
        self.reason = reason if self.reason != INTERRUPTED else INTERRUPTED
        self.end = end


def _step(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> Step:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}
