"""Streamed answers of OpenAI's chat completions API: server-sent events, each of which is a chunk already."""

from completions_mw.providers.base import Translator
from completions_mw.providers.lenient_json import is_json_object
from completions_mw.providers.openai.answer import parse_event
from completions_mw.sse import Decoder, Event


def open_stream(max_event_bytes: int) -> Translator:
    """Return the translator of one streamed answer: server-sent events, each of which is a chunk already."""
    return _Chunks(max_event_bytes)


class _Chunks(Translator):
    __slots__ = ("_decoder",)

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__()
        self._decoder = Decoder(max_event_bytes)

    def _translate(self, piece: bytes, events: list[Event]) -> None:
        for event in self._decoder.feed(piece):
            if (chunk := parse_event(event)) is not None:
                events.append(chunk)  # noqa: PERF401 - a comprehension would lose the events before a fault

    def _finish(self, events: list[Event]) -> None:
        # Only an error: any other event that was not ended may have been cut.
        rest = self._decoder.end()
        if rest is not None and is_json_object(rest.data):
            parse_event(rest)
