"""What an upstream says of a retry reaches a client only as far as a client may obey it (docs/contract.md, Client retries)."""

import pytest

from completions_mw.http import Headers
from completions_mw.providers.retry_advice import retry_advice

NOW = ("date", "Mon, 30 Nov 2026 12:00:00 GMT")
NO_MORE = ("60", "60000", "false")
ADVICE: dict[str, tuple[Headers, tuple[str, ...]]] = {
    "none": ((), ()),
    "seconds": ((("retry-after", "2"),), ("2", "2000")),
    "milliseconds": ((("retry-after-ms", "1500"),), ("2", "1500")),
    "both": ((("retry-after", "2"), ("retry-after-ms", "1500")), ("2", "1500")),
    "part of a second": ((("retry-after", "0.2"),), ("1", "200")),
    "less than a millisecond": ((("retry-after-ms", "0.001"),), ("1", "1")),
    "a minute": ((("retry-after", " 60 "),), ("60", "60000")),
    "more than a minute": ((("retry-after", "60.5"),), NO_MORE),
    "a day": ((("retry-after", "86400"),), NO_MORE),
    "a day in milliseconds": ((("retry-after-ms", "86400000"),), NO_MORE),
    "for ever": ((("retry-after", "9" * 39),), NO_MORE),
    "an exponent": ((("retry-after", "1e308"),), NO_MORE),
    "date": ((NOW, ("retry-after", "Mon, 30 Nov 2026 12:00:10 GMT")), ("10", "10000")),
    "date of tomorrow": ((NOW, ("retry-after", "Tue, 01 Dec 2026 12:00:00 GMT")), NO_MORE),
    "date of the past": ((NOW, ("retry-after", "Mon, 30 Nov 2026 11:00:00 GMT")), ()),
    "date without another": ((("retry-after", "Mon, 30 Nov 2026 12:00:10 GMT"),), ()),
    "date beside none": ((("date", "today"), ("retry-after", "Mon, 30 Nov 2026 12:00:10 GMT")), ()),
    "date without a zone": ((NOW, ("retry-after", "Mon, 30 Nov 2026 12:00:10")), ()),
    "impossible date": ((NOW, ("retry-after", "Mon, 99 Nov 2026 12:00:10 GMT")), ()),
    "zero": ((("retry-after", "0"),), ()),
    "negative": ((("retry-after", "-5"),), ()),
    "negative milliseconds beside seconds": ((("retry-after", "3"), ("retry-after-ms", "-5")), ("3", "3000")),
    "no number": ((("retry-after", "nan"), ("retry-after-ms", "inf")), ()),
    "text": ((("retry-after", "soon"),), ()),
    "empty": ((("retry-after", ""),), ()),
    "long": ((("retry-after", "1" + " " * 100),), ()),
}


@pytest.mark.parametrize(("headers", "expected"), ADVICE.values(), ids=ADVICE)
def test_advice(headers: Headers, expected: tuple[str, ...]) -> None:
    names = ("retry-after", "retry-after-ms", "x-should-retry")
    assert retry_advice(headers) == tuple(zip(names, expected, strict=False))
