"""The grammar of a stream of chunks (docs/contract.md, Streams), to which the chunks of every target are brought.

Chunks that follow the grammar, as OpenAI's do, pass unchanged as bytes. A chunk that takes two steps of the grammar at once (role and text,
text and `finish_reason`) is split; usage moves to the end of the stream; all chunks get the same id, time and model.
"""

from collections.abc import Callable
from typing import Any, Final

from completions_mw.core.answers.finish_reasons import INTERRUPTED, interrupted_error
from completions_mw.core.answers.usage import UsageMeter, find_usage
from completions_mw.core.streaming.choice import ChoiceGrammar, Step
from completions_mw.errors import UpstreamError
from completions_mw.sse import DONE, Event

CHUNK_OBJECT: Final = "chat.completion.chunk"
_ENVELOPE_NAMES: Final = ("id", "object", "created", "model")
_COMMON_MEMBERS: Final = frozenset({*_ENVELOPE_NAMES, "choices", "usage", "service_tier", "system_fingerprint", "obfuscation", "provider"})
"""Members for which alone a chunk without choices is not sent."""


class ChunkGrammar:
    """Brings the chunks of one answer to the grammar.

    Args:
        id: id of the answer, if the target gives none.
        created: time of the answer in seconds since the epoch, if the target gives none.
        model: model name that the client asked for.
        renamed: whether the target has another name for the model, which clients must not see.
        include_usage: whether the client asked for usage.
        n: number of choices that the client asked for.
        is_forced: whether the client forced the call of one function, which OpenAI's API answers with the finish reason `stop`.
        estimate: returns an estimated `usage` object for an answer's size, if the target reports none.
    """

    __slots__ = (
        "_choices",
        "_defaults",
        "_envelope",
        "_held",
        "_include_usage",
        "_is_forced",
        "_meter",
        "_n",
        "_renamed",
        "_usage_chunk",
        "_waiting",
        "fault",
        "finish_reason",
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
        is_forced: bool = False,
        estimate: Callable[[int], dict[str, Any]],
    ) -> None:
        self._defaults = (id, CHUNK_OBJECT, created, model)
        self._envelope: tuple[Any, Any, Any, Any] | None = None
        self._renamed = renamed
        self._include_usage = include_usage
        self._n = n
        self._is_forced = is_forced
        self._meter = UsageMeter(estimate)
        self._choices: dict[int, ChoiceGrammar] = {}
        self._held: dict[int, Event] = {}
        """Chunks that end choices, by the index of the choice: nothing may follow them."""
        self._waiting: list[Event] = []
        """Chunks without choices that came before the first one with choices, or behind a chunk that is held."""
        self._usage_chunk: Event | None = None
        self.fault: UpstreamError | None = None
        """Failure that ends the answer behind the chunks returned so far; None while there is none."""
        self.finish_reason: Any = None
        """The `finish_reason` of the choice that ended last."""

    def follow(self, batch: list[Event]) -> list[Event]:
        """Return the chunks for the client that a batch of the target's events becomes; `DONE` ends the answer.

        Raises:
            UpstreamError: the answer has failed. If there are chunks before the failure, these are returned, and it is kept in `fault`.
        """
        if len(batch) == 1 and batch[0] is not DONE:
            return self.feed(batch[0])
        chunks: list[Event] = []
        try:
            for event in batch:
                if event is DONE:
                    chunks.extend(self.end(done=True))
                    break
                chunks.extend(self.feed(event))
        except UpstreamError as error:
            if not chunks:
                raise
            self.fault = error
        return chunks

    def feed(self, event: Event) -> list[Event]:
        """Return the chunks for the client that one chunk of the target becomes.

        Raises:
            UpstreamError: the target goes on with a choice that the client was told is complete.
        """
        data = event.data
        choices = data.get("choices")
        # The usual chunk, in as few steps as possible.
        if type(choices) is list and len(choices) == 1 and not self._held and not data.get("usage"):
            index = choices[0].get("index")
            choice = self._choices.get(index) if type(index) is int else None
            if choice is not None and choice.is_plain and choice.follows(choices[0]):
                return [self._unified(event)]
        return self._with_choices(event, choices) if choices else self._without_choices(event)

    def end(self, *, done: bool) -> list[Event]:
        """Return the chunks that end the answer, `DONE` last.

        Args:
            done: whether the target sent `DONE`; otherwise its stream ended without it.

        Raises:
            UpstreamError: the answer is incomplete, and no end is invented for it (docs/promises.md, Streams and truncation).
        """
        if self.fault is not None:
            raise self.fault
        choices = self._choices.values()
        if any(choice.reason == INTERRUPTED for choice in choices):
            raise interrupted_error()
        are_open = [choice for choice in choices if choice.reason is None]
        if not choices or ((are_open or len(choices) < self._n) and not done):
            raise UpstreamError("The upstream provider ended its answer before it was complete.", code="upstream_incomplete")
        for choice in sorted(are_open, key=lambda choice: choice.index):
            self._held[choice.index] = Event({})
        return [*self._released(is_end=True), DONE]

    def empty_chunk(self) -> Event:
        """Return a chunk with an empty delta, which adds nothing to a choice that has begun, if possible to one that has not ended."""
        index = min((choice.is_ended, choice.index) for choice in self._choices.values())[1] if self._choices else 0
        return self._chunk([{"index": index, "delta": {}, "finish_reason": None}], {})

    @property
    def has_text(self) -> bool:
        """Whether any text, or call of a tool, has come."""
        return self._meter.characters > 0

    @property
    def is_finished(self) -> bool:
        """Whether every choice has ended, so that only usage and `DONE` are to come."""
        return sum(choice.reason is not None for choice in self._choices.values()) >= self._n

    @property
    def usage(self) -> dict[str, Any] | None:
        """The last usage that the target reported."""
        return self._meter.reported

    @property
    def is_estimated(self) -> bool:
        """Whether `final_usage` is an estimate, because the target has reported no usage since its last text."""
        return self._meter.is_estimated

    def final_usage(self) -> dict[str, Any]:
        """Return the usage that the target reported; if it reported none since its last text, an estimate that is no less."""
        return self._meter.final()

    def _with_choices(self, event: Event, choices: list[Step]) -> list[Event]:
        if self._envelope is None:
            self._envelope = self._envelope_of(event.data)
        whole = self._unified(event)
        indexes = [_index_of(choice, position) for position, choice in enumerate(choices)]
        events: list[Event] = []
        if not self._choices:
            events = self._released()
        elif self._held and all(index not in indexes and self._choices[index].is_end_sure for index in self._held):
            # Another choice goes on, so these have ended.
            events = self._released()
        for index, choice in zip(indexes, choices, strict=True):
            state = self._choices.get(index)
            if state is None:
                state = self._choices[index] = ChoiceGrammar(index, self._meter)
            end = state.end
            for step in state.steps(choice):
                is_same = step is choice and len(choices) == 1
                events.append(whole if is_same else Event({**whole.data, "choices": [step]}))
            if state.end is not end and state.end is not None:
                is_same = state.end is choice and len(choices) == 1
                self._held[index] = whole if is_same else Event({**whole.data, "choices": [state.end]})
                self.finish_reason = choice.get("finish_reason")
        self._note_usage(event.data)
        return events

    def _without_choices(self, event: Event) -> list[Event]:
        """Keep the usage of a chunk without choices, and return the chunk if it says more than that."""
        if event.data.get("choices", []) != []:
            # In place of none: clients read a list in every chunk.
            event = Event({**event.data, "choices": []})
        if self._note_usage(event.data):
            self._usage_chunk = event
        elif not _says_more(event):
            return []
        elif self._choices and not self._held:
            return [self._unified(event)]
        self._waiting.append(event)
        return []

    def _note_usage(self, data: dict[str, Any]) -> bool:
        usage = find_usage(data)
        if usage is not None:
            self._meter.report(usage)
        return usage is not None

    def _released(self, *, is_end: bool = False) -> list[Event]:
        """Return the ends of choices that are held, and what waited for them; at the end of the answer with its usage."""
        events: list[Event] = []
        for index, event in self._held.items():
            choice = self._choices[index]
            steps = choice.last_steps(is_forced=self._is_forced)
            events += [event if step is choice.end else self._chunk([step], event.data) for step in steps]
            self.finish_reason = choice.reason
        usage_chunk = self._usage_chunk
        waiting, self._held, self._waiting = self._waiting, {}, []
        for event in waiting:
            if event is not usage_chunk:
                events += [self._unified(event)] if _says_more(event) else []
            elif not is_end:
                self._waiting = [event]
            elif self._include_usage:
                events.append(self._last_chunk(event))
            elif _says_more(event):
                # Clients that ask for no usage expect a choice in every chunk, so another one gets what stands beside the usage.
                events[-1] = Event({**self._unified(event).data, **events[-1].data})
        if is_end and self._include_usage and usage_chunk is None:
            events.append(Event(self._enveloped({"choices": [], "usage": self.final_usage()})))
        return events

    def _last_chunk(self, event: Event) -> Event:
        """Return the target's chunk with the usage, with all its members."""
        usage = self.final_usage()
        data = self._enveloped({**event.data, "choices": [], "usage": usage})
        return event if data == event.data and event.data.get("usage") is usage else Event(data)

    def _unified(self, event: Event) -> Event:
        """Return a chunk with the id, time and model of all chunks, and without usage; the chunk itself if it is so already."""
        data = event.data
        if self._include_usage:
            if data.get("usage", False) is not None:
                data = {**data, "usage": None}
        elif "usage" in data:
            data = data.copy()
            del data["usage"]
        if (data.get("id"), data.get("object"), data.get("created"), data.get("model")) != self._envelope:
            data = self._enveloped(data)
        return event if data is event.data else Event(data)

    def _enveloped(self, data: dict[str, Any]) -> dict[str, Any]:
        # Twice: first for OpenAI's order of members, then to replace the target's values.
        envelope = dict(zip(_ENVELOPE_NAMES, self._envelope or self._defaults, strict=True))
        return {**envelope, **data, **envelope}

    def _envelope_of(self, first: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
        """Return the id, object, time and model of all chunks, taken from the first chunk where its values are valid."""
        id, _, created, model = self._defaults
        found_id, found_created, found_model = first.get("id"), first.get("created"), first.get("model")
        return (
            found_id if isinstance(found_id, str) and found_id else id,
            CHUNK_OBJECT,
            found_created if type(found_created) is int and found_created > 0 else created,
            found_model if isinstance(found_model, str) and found_model and not self._renamed else model,
        )

    def _chunk(self, choices: list[Step], members: dict[str, Any]) -> Event:
        """Return a chunk with members of another one."""
        return self._unified(Event(self._enveloped({**members, "choices": choices})))


def _says_more(event: Event) -> bool:
    """Return whether a chunk without choices has more than usage, and than a ping has."""
    return "choices" in event.data and not event.data.keys() <= _COMMON_MEMBERS


def _index_of(choice: Step, position: int) -> int:
    index = choice.get("index")
    return index if type(index) is int and index >= 0 else position
