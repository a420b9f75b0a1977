"""The grammar of a stream of chunks (docs/contract.md, Streams), to which the chunks of every target are brought.

Chunks that follow the grammar, as OpenAI's do, pass unchanged as bytes. A chunk that takes two steps of the grammar at once (role and text,
text and `finish_reason`) is split; usage moves to the end of the stream; all chunks get the same id, time and model.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from completions_mw.core.costs.tokens import at_least, counts_answer, is_usage, size_of
from completions_mw.errors import UpstreamError
from completions_mw.sse import DONE, Event

CHUNK_OBJECT: Final = "chat.completion.chunk"
_ENVELOPE_NAMES: Final = ("id", "object", "created", "model")


class ChunkGrammar:
    """Brings the chunks of one answer to the grammar.

    Args:
        id: id of the answer, if the target gives none.
        created: time of the answer in seconds since the epoch, if the target gives none.
        model: model name that the client asked for.
        renamed: whether the target has another name for the model, which clients must not see.
        include_usage: whether the client asked for usage.
        n: number of choices that the client asked for.
        estimate: returns an estimated `usage` object for an answer's size, if the target reports none.
    """

    __slots__ = (
        "_characters",
        "_covered",
        "_defaults",
        "_envelope",
        "_estimate",
        "_finished",
        "_include_usage",
        "_n",
        "_renamed",
        "_started",
        "finish_reason",
        "usage",
    )

    def __init__(
        self,
        *,
        id: str,
        created: int,
        model: str,
        renamed: bool,
        include_usage: bool,
        n: int = 1,
        estimate: Callable[[int], dict[str, Any]],
    ) -> None:
        self._defaults = (id, CHUNK_OBJECT, created, model)
        self._envelope: tuple[Any, Any, Any, Any] | None = None
        self._renamed = renamed
        self._include_usage = include_usage
        self._n = n
        self._estimate = estimate
        self._started: set[int] = set()
        self._finished: set[int] = set()
        self._characters = 0
        self._covered = 0
        """Part of `_characters` that the reported usage counts."""
        self.usage: dict[str, Any] | None = None
        """The last usage that the target reported."""
        self.finish_reason: Any = None
        """The `finish_reason` of the choice that ended last."""

    def follow(self, batch: list[Event]) -> list[Event]:
        """Return the chunks for the client that a batch of the target's events becomes; `DONE` ends the answer.

        Raises:
            UpstreamError: the answer has ended and is incomplete.
        """
        if len(batch) == 1 and batch[0] is not DONE:
            return self.feed(batch[0])
        chunks: list[Event] = []
        for event in batch:
            if event is DONE:
                chunks.extend(self.end(done=True))
                break
            chunks.extend(self.feed(event))
        return chunks

    def feed(self, event: Event) -> list[Event]:
        """Return the chunks for the client that one chunk of the target becomes."""
        data = event.data
        changed = ("usage" in data) != self._include_usage
        if changed and self._include_usage:
            data["usage"] = None
        elif "usage" in data and (data["usage"] is not None or changed):
            changed = True
            if data["usage"] is not None:
                self._take_usage(data["usage"], data.get("choices") or ())
            if self._include_usage:
                data["usage"] = None
            else:
                del data["usage"]
        choices = data.get("choices")
        if not choices:
            return []
        if (data.get("id"), data.get("object"), data.get("created"), data.get("model")) != self._envelope:
            if self._envelope is None:
                self._envelope = self._envelope_of(data)
            # Twice: first for OpenAI's order of members, then to replace the target's values.
            unified = {**dict(zip(_ENVELOPE_NAMES, self._envelope, strict=True)), **data}
            unified.update(zip(_ENVELOPE_NAMES, self._envelope, strict=True))
            changed = changed or unified != data
            data = unified
        if len(choices) > 1 or not self._follows(choices[0]):
            return [Event({**data, "choices": [step]}) for choice in choices for step in self._steps(choice)]
        return [Event(data) if changed else event]

    def end(self, *, done: bool) -> list[Event]:
        """Return the chunks that end the answer, `DONE` last.

        Args:
            done: whether the target sent `DONE`; otherwise its stream ended without it.

        Raises:
            UpstreamError: the answer is incomplete, and no end is invented for it (docs/promises.md, Streams and truncation).
        """
        open_choices = self._started - self._finished
        if not self._started or ((open_choices or len(self._finished) < self._n) and not done):
            raise UpstreamError("The upstream provider ended its answer before it was complete.", code="upstream_incomplete")
        events = [self._chunk([_choice(index, {}, "stop")]) for index in sorted(open_choices)]
        if self._include_usage:
            events.append(self._chunk([], self.final_usage()))
        return [*events, DONE]

    def empty_chunk(self) -> Event:
        """Return a chunk with an empty delta, which adds nothing to a choice that has begun, if possible to one that has not ended."""
        index = min(self._started - self._finished or self._started, default=0)
        return self._chunk([_choice(index, {}, None)])

    @property
    def has_text(self) -> bool:
        """Whether any text, or call of a tool, has come."""
        return self._characters > 0

    @property
    def is_finished(self) -> bool:
        """Whether every choice has ended, so that only usage and `DONE` are to come."""
        return len(self._finished) >= self._n

    @property
    def is_estimated(self) -> bool:
        """Whether `final_usage` is an estimate, because the target has reported no usage since its last text."""
        return self.usage is None or self._characters > self._covered

    def final_usage(self) -> dict[str, Any]:
        """Return the usage that the target reported; if it reported none since its last text, an estimate that is no less."""
        if self.usage is not None and self._characters <= self._covered:
            return self.usage
        estimate = self._estimate(self._characters)
        return estimate if self.usage is None else at_least(self.usage, estimate)

    def _take_usage(self, usage: object, choices: Iterable[dict[str, Any]]) -> None:
        """Keep the usage that a target reports, for the end of the stream."""
        if is_usage(usage):
            self.usage = usage
            written = sum(size_of(choice.get("delta") or {}) for choice in choices)
            self._covered = self._characters + written if counts_answer(usage) else 0

    def _envelope_of(self, first: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
        """Return the id, object, time and model of all chunks, taken from the first chunk where its values are valid."""
        id, _, created, model = self._defaults
        found_id, found_created, found_model = first.get("id"), first.get("created"), first.get("model")
        return (
            found_id if isinstance(found_id, str) and found_id else id,
            CHUNK_OBJECT,
            found_created if isinstance(found_created, int) else created,
            found_model if isinstance(found_model, str) and found_model and not self._renamed else model,
        )

    def _follows(self, choice: dict[str, Any]) -> bool:
        """Tell whether a choice is the grammar's next step without changes, and record the step."""
        index, delta = choice.get("index"), choice.get("delta")
        if not isinstance(index, int) or not isinstance(delta, dict) or "finish_reason" not in choice:
            return False
        if index not in self._started:
            # OpenAI's first delta has the role and no text; where it opens tool calls, null content.
            content = delta.get("content", False)
            is_first = delta.get("role") == "assistant" and (content == "" or (content is None and delta.get("tool_calls")))
            if not is_first or choice["finish_reason"]:
                return False
            self._started.add(index)
            self._characters += size_of(delta)
            return True
        if choice["finish_reason"]:
            if delta or index in self._finished:
                return False
            self._finished.add(index)
            self.finish_reason = choice["finish_reason"]
            return True
        if "role" in delta:
            return False
        self._characters += size_of(delta)
        return True

    def _steps(self, choice: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the steps of the grammar that a choice combines, one choice for each step."""
        index = choice["index"] if isinstance(choice.get("index"), int) else 0
        delta = {name: value for name, value in (choice.get("delta") or {}).items() if value not in (None, "") and name != "role"}
        steps: list[dict[str, Any]] = []
        if index not in self._started:
            self._started.add(index)
            steps.append(_choice(index, {"role": "assistant", "content": ""}, None))
        if delta:
            self._characters += size_of(delta)
            steps.append(_choice(index, delta, None))
        if choice.get("finish_reason") and index not in self._finished:
            self._finished.add(index)
            self.finish_reason = choice["finish_reason"]
            steps.append(_choice(index, {}, choice["finish_reason"]))
        if steps and choice.get("logprobs") is not None:
            (steps[1] if len(steps) > 1 and delta else steps[0])["logprobs"] = choice["logprobs"]
        return steps

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> Event:
        data = {**dict(zip(_ENVELOPE_NAMES, self._envelope or self._defaults, strict=True)), "choices": choices}
        return Event({**data, "usage": usage} if self._include_usage else data)


def _choice(index: int, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}
