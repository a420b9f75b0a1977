"""Rates: the type of settings such as `60/minute`, `10 per 5 seconds` or `60/minute; 1000/day`."""

from typing import Annotated, Final, NamedTuple

from pydantic import BeforeValidator, PlainSerializer

_EXPECTED_RATES: Final = (
    "should be a rate such as `60/minute`, `10 per 5 seconds` or `60/minute; 1000/day`, or a list of them: whole numbers above 0, and "
    "second, minute, hour, day, month or year"
)
MAX_RATE_AMOUNT: Final = 10**15
"""Requests or tokens that a rate may allow at most: far below 2**53, so that sums are exact in Redis's Lua."""
MAX_WINDOW_SECONDS: Final = 366 * 86_400
"""Seconds that the window of a rate may have at most: a leap year."""
_WINDOW_UNITS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class Rate(NamedTuple):
    """At most `amount` requests or tokens in each window of `seconds`."""

    amount: int
    seconds: int

    def __str__(self) -> str:
        size, unit = next((size, unit) for size, unit in _WINDOW_UNITS if self.seconds % size == 0)
        count = self.seconds // size
        return f"{self.amount}/{unit}" if count == 1 else f"{self.amount} per {count} {unit}s"


def _rates(value: object) -> tuple[Rate, ...]:
    """Return the rates of a text in the syntax of the `limits` package, or of a list of texts; one text may hold several rates."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        raise ValueError(_EXPECTED_RATES)
    rates = [rate for text in texts for rate in ([text] if isinstance(text, Rate) else _parse(text))]
    if not all(_within(rate.amount, MAX_RATE_AMOUNT) and _within(rate.seconds, MAX_WINDOW_SECONDS) for rate in rates):
        raise ValueError(_EXPECTED_RATES)
    # Of two rates over the same window only the smaller one matters.
    return tuple(rate for rate in dict.fromkeys(rates) if rate == min(other for other in rates if other.seconds == rate.seconds))


def _parse(text: object) -> list[Rate]:
    # Imported here, since the import takes as long as all else, and most apps have no limits.
    from limits import parse_many

    try:
        rates = [Rate(item.amount, item.get_expiry()) for item in parse_many(text)] if isinstance(text, str) else []
    except ValueError:
        rates = []
    if not rates:
        raise ValueError(_EXPECTED_RATES)
    return rates


def _within(number: object, maximum: int) -> bool:
    # Code without a type checker may pass Rate("60", 60).
    return isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= maximum


def _as_texts(rates: tuple[Rate, ...]) -> list[str]:
    return [str(rate) for rate in rates]


Rates = Annotated[tuple[Rate, ...], BeforeValidator(_rates), PlainSerializer(_as_texts)]
