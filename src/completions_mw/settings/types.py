"""The kinds of values that settings are made of. A check says what is expected, never what was given.

Numbers may come as text, because environment variables are text; true and false are never numbers.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """Return a check that a whole text matches `pattern`."""
    matches = re.compile(pattern, re.ASCII | re.IGNORECASE).fullmatch

    def check(value: str) -> str:
        if matches(value) is None:
            raise ValueError(f"should be {expected}")
        return value

    return check


def _not_boolean(value: object) -> object:
    # Python takes True for 1, and so does pydantic.
    if isinstance(value, bool):
        raise ValueError("should be a number, not true or false")
    return value


def model_name(value: str) -> str:
    """Check the name of a model."""
    if not 1 <= len(value) <= 256 or not value.isprintable() or " " in value:
        raise ValueError("should be 1 to 256 printable characters without spaces")
    return value


_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Between them every date is also one in UTC, and as a float; beyond them Python may fail where a key is only shown."""


def _instant(value: object) -> datetime:
    # pydantic would also take a number for seconds since 1970, so that 20270101 were a day in August 1970.
    expected = "should be a date and time with its offset from UTC, as 2027-01-31T00:00:00Z"
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(expected) from None
    if not isinstance(instant, datetime) or instant.utcoffset() is None:
        raise ValueError(expected)
    if not _EARLIEST <= instant <= _LATEST:
        raise ValueError("should be in one of the years 1970 to 9998")
    return instant


def _prefix(value: str) -> str:
    _check_path(value)
    if not {".", ".."}.isdisjoint(value.split("/")):
        raise ValueError("should have no `.` and `..` segments")
    return value


def file_path(path: str, info: ValidationInfo) -> str:
    """Let a relative path start in the settings file's folder, which is the validation context."""
    if not path:
        raise ValueError("is empty")
    return str(Path(info.context or "", path))


def split_url(value: str) -> SplitResult:
    """Return the parts of a URL that names a host."""
    try:
        parts = urlsplit(value)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        # Its text shows parts of the URL, which may hold a password.
        usable = False
    if not usable:
        raise ValueError("should name a host, and a port from 1 to 65535 if any")
    return parts


def _base_url(value: str) -> str:
    _check_url(value)
    if "@" in split_url(value).netloc:
        raise ValueError("should hold no user name and password; use `api_key` or `headers`")
    if "?" in value or "#" in value:
        raise ValueError("should have no query and no fragment")
    base_url = value.rstrip("/")
    if base_url.lower().endswith(_ADDED_PATH):
        raise ValueError(f"should end before `{_ADDED_PATH}`, which is added to it")
    return base_url


_ADDED_PATH: Final = "/chat/completions"
_check_path = matching(r"(/[a-z0-9._~!$&'()*+,;=:@-]+)*", 'a path that starts with `/` and does not end with it, or "" for the root')
_check_url = matching(r"https?://[\x21-\x5b\x5d-\x7e]+", "a URL that starts with http:// or https://")

Name = Annotated[
    str,
    AfterValidator(
        matching(r"[a-z0-9][a-z0-9._-]{0,127}", "1 to 128 letters, digits, `.`, `_` and `-`, the first one a letter or a digit"),
    ),
]
"""Of a provider, a key or a tenant."""
ModelName = Annotated[str, AfterValidator(model_name)]
"""As clients send it, or as an upstream knows it; may hold slashes."""
Text = Annotated[str, AfterValidator(matching(r"[\x20-\x7e]{1,256}", "1 to 256 printable ASCII characters"))]
Identifier = Annotated[str, AfterValidator(matching(r"[\x21-\x7e]{1,256}", "1 to 256 printable ASCII characters without spaces"))]
Sha256 = Annotated[str, AfterValidator(matching(r"[0-9a-f]{64}", "64 hexadecimal digits")), AfterValidator(str.lower)]
HeaderName = Annotated[str, AfterValidator(matching(r"[a-z0-9!#$%&'*+.^_`|~-]{1,256}", "a header name")), AfterValidator(str.lower)]
Prefix = Annotated[str, AfterValidator(_prefix)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]


_UNITS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class Rate(NamedTuple):
    """So many in each window of so many seconds."""

    amount: int
    seconds: int

    def __str__(self) -> str:
        size, unit = next((size, unit) for size, unit in _UNITS if self.seconds % size == 0)
        count = self.seconds // size
        return f"{self.amount}/{unit}" if count == 1 else f"{self.amount} per {count} {unit}s"


def _rates(value: object) -> tuple[Rate, ...]:
    """Return rules in the syntax of the `limits` package, of which one text may hold several."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        raise ValueError(_A_RATE)
    rates = [rate for text in texts for rate in ([text] if isinstance(text, Rate) else _parsed(text))]
    if not all(_within(rate.amount, MAX_AMOUNT) and _within(rate.seconds, MAX_WINDOW_SECONDS) for rate in rates):
        raise ValueError(_A_RATE)
    # Of two over the same span the smaller one says all.
    return tuple(rate for rate in dict.fromkeys(rates) if rate == min(other for other in rates if other.seconds == rate.seconds))


def _parsed(text: object) -> list[Rate]:
    # Loaded only where there are limits: it takes as long as everything else together.
    from limits import parse_many

    try:
        rates = [Rate(item.amount, item.get_expiry()) for item in parse_many(text)] if isinstance(text, str) else []
    except ValueError:
        rates = []
    if not rates:
        raise ValueError(_A_RATE)
    return rates


def _within(number: object, most: int) -> bool:
    # Whoever is without a type checker writes Rate("60", 60).
    return isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= most


def _as_texts(rates: tuple[Rate, ...]) -> list[str]:
    return [str(rate) for rate in rates]


_A_RATE: Final = (
    "should be a rate as `60/minute`, `10 per 5 seconds` or `60/minute; 1000/day`, or a list of them: whole numbers above 0, and second, "
    "minute, hour, day, month or year"
)
MAX_AMOUNT: Final = 10**15
"""Far below 2**53, so that sums are exact in Lua."""
MAX_WINDOW_SECONDS: Final = 366 * 86_400

Rates = Annotated[tuple[Rate, ...], BeforeValidator(_rates), PlainSerializer(_as_texts)]
_Integer = Annotated[int, BeforeValidator(_not_boolean)]
_Number = Annotated[float, BeforeValidator(_not_boolean), Field(allow_inf_nan=False)]
_Money = Annotated[Decimal, BeforeValidator(_not_boolean)]

Count = Annotated[_Integer, Field(ge=1, le=2**31 - 1)]
Depth = Annotated[_Integer, Field(ge=1, le=200)]
"""Levels of JSON; pydantic's parser goes no deeper."""
Timestamp = Annotated[_Integer, Field(ge=0, le=2**53)]
"""Seconds since 1970, as the wire has it."""
Seconds = Annotated[_Number, Field(gt=0, le=86_400)]
Interval = Annotated[_Number, Field(ge=0, le=300)]
"""Seconds; 0 means never."""
UsdPerMillion = Annotated[_Money, Field(ge=0, le=1_000_000)]
"""USD per million tokens."""
Amount = Annotated[_Money, Field(gt=0, le=1_000_000_000, decimal_places=9)]
"""USD, to the nano-dollar (docs/promises.md, Money)."""
Instant = Annotated[datetime, BeforeValidator(_instant)]


def _not_empty(values: tuple[object, ...]) -> tuple[object, ...]:
    # pydantic's own `min_length` would also count an item that has an error of its own as missing.
    if not values:
        raise ValueError("should have at least one item")
    return values


NOT_EMPTY: Final = AfterValidator(_not_empty)
