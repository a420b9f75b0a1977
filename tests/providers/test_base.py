"""What all translators share: the events before a fault are delivered."""

from completions_mw.errors import UpstreamError
from completions_mw.providers.base import Translator
from completions_mw.sse import DONE, Event


class Digits(Translator):
    """An event for each digit; `!` is a fault, and so is an end without a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.empty = True

    def _translate(self, piece: bytes, events: list[Event]) -> None:
        for digit in piece.decode():
            if digit == "!":
                raise UpstreamError("fault")
            self.empty = False
            events.append(Event({"digit": digit}))

    def _finish(self, events: list[Event]) -> None:
        if self.empty:
            raise UpstreamError("empty")
        events.append(DONE)


class Silent(Translator):
    def _translate(self, piece: bytes, events: list[Event]) -> None:
        pass


def test_a_piece_gives_none_one_or_many_events() -> None:
    translator = Digits()
    assert [len(translator.feed(piece)) for piece in (b"", b"1", b"23")] == [0, 1, 2]
    assert translator.end() == [DONE]
    assert translator.fault is None


def test_events_before_a_fault_are_delivered() -> None:
    translator = Digits()
    assert translator.feed(b"12!3") == [Event({"digit": "1"}), Event({"digit": "2"})]
    assert str(translator.fault) == "fault"


def test_the_end_may_be_a_fault() -> None:
    translator = Digits()
    assert translator.end() == []
    assert str(translator.fault) == "empty"


def test_the_end_owes_nothing_unless_a_wire_format_says_so() -> None:
    translator = Silent()
    assert (translator.feed(b"x"), translator.end(), translator.fault) == ([], [], None)
