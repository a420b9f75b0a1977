"""Streams of the Gemini API: server-sent events, each of which is an answer with what has come since the event before."""

from completions_mw.providers.base import Translator
from completions_mw.providers.gemini.answer import blocked, envelope, parse_object, piece_of_choice, unusable
from completions_mw.providers.lenient_json import is_json_object
from completions_mw.sse import DONE, Decoder, Event


def open_stream(max_event_bytes: int) -> Translator:
    """Return the translator of one streamed answer.

    The API sends nothing behind the last event, so the answer is complete if each candidate that has begun has a finish reason when the
    bytes end. There may be fewer candidates than were asked for, as in a whole answer.
    """
    return _Answers(max_event_bytes)


class _Answers(Translator):
    __slots__ = ("_calls", "_decoder", "_finished")

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__()
        self._decoder = Decoder(max_event_bytes)
        self._calls: dict[int, int] = {}
        """Number of calls so far, by the index of the candidate."""
        self._finished: set[int] = set()
        """Indexes of the candidates that have a finish reason."""

    def _translate(self, piece: bytes, events: list[Event]) -> None:
        for event in self._decoder.feed(piece):
            self._take(event.data, events)

    def _finish(self, events: list[Event]) -> None:
        rest = self._decoder.end()
        if rest is None:
            if self._finished and self._finished == self._calls.keys():
                events.append(DONE)
        elif is_json_object(rest.data):
            # Only an error: any other event that was not ended may have been cut.
            parse_object(rest.data)

    def _take(self, data: bytes, events: list[Event]) -> None:
        answer = parse_object(data)
        try:
            choices = []
            for position, candidate in enumerate(answer.get("candidates") or ()):
                index = candidate.get("index", position)
                choice = piece_of_choice(candidate, position, self._calls.get(index, 0))
                self._calls[index] = self._calls.get(index, 0) + len(choice["delta"].get("tool_calls", ()))
                if choice["finish_reason"] is not None:
                    self._finished.add(index)
                choices.append(choice)
            chunk = {**envelope(answer), "choices": choices}
        except (LookupError, TypeError, ValueError, AttributeError):
            raise unusable() from None
        if not choices and (reason := blocked(answer)) is not None:
            events += (Event({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}), DONE)
        else:
            events.append(Event(chunk))
