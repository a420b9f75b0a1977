"""Types of single values in the settings. The error of a check names what is expected, and never shows the value.

Numbers may be given as text, as in environment variables; true and false are not numbers.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """Return a validator of texts that match `pattern` as a whole; its error says `should be` and the text `expected`."""
    matches = re.compile(pattern, re.ASCII | re.IGNORECASE).fullmatch

    def check(value: str) -> str:
        if matches(value) is None:
            raise ValueError(f"should be {expected}")
        return value

    return check


def _not_boolean(value: object) -> object:
    # In Python and pydantic True is a number, 1.
    if isinstance(value, bool):
        raise ValueError("should be a number, not true or false")
    return value


def model_name(value: str) -> str:
    """Return `value` if it may be the name of a model: a validator."""
    if not 1 <= len(value) <= 256 or not value.isprintable() or " " in value:
        raise ValueError("should be 1 to 256 printable characters without spaces")
    return value


# Every date between these two can be converted to UTC and to a float; for others Python raises, even when a key is only shown.
_MIN_INSTANT: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_INSTANT: Final = datetime(9999, 1, 1, tzinfo=UTC)


def _instant(value: object) -> datetime:
    # pydantic would take the number 20270101 for seconds since 1970, a day in August of that year.
    expected = "should be a date and time with its offset from UTC, as 2027-01-31T00:00:00Z"
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(expected) from None
    if not isinstance(instant, datetime) or instant.utcoffset() is None:
        raise ValueError(expected)
    if not _MIN_INSTANT <= instant <= _MAX_INSTANT:
        raise ValueError("should be in one of the years 1970 to 9998")
    return instant


def _prefix(value: str) -> str:
    _check_path(value)
    if not {".", ".."}.isdisjoint(value.split("/")):
        raise ValueError("should have no `.` and `..` segments")
    return value


def file_path(path: str, info: ValidationInfo) -> str:
    """Return `path`, below the folder of the settings file if it is relative. The folder is the validation context."""
    if not path:
        raise ValueError("is empty")
    return str(Path(info.context or "", path))


def split_url(value: str) -> SplitResult:
    """Return the parts of a URL.

    Raises:
        ValueError: the URL names no host, or an impossible port.
    """
    try:
        parts = urlsplit(value)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        # Not chained: the text of this error shows parts of the URL, which may hold a password.
        usable = False
    if not usable:
        raise ValueError("should name a host, and a port from 1 to 65535 if any")
    return parts


def base_url(value: str) -> str:
    """Return a base URL without a slash at its end: a validator."""
    _check_url(value)
    if "@" in split_url(value).netloc:
        raise ValueError("should hold no user name and password; use `api_key` or `headers`")
    if "?" in value or "#" in value:
        raise ValueError("should have no query and no fragment")
    url = value.rstrip("/")
    if url.lower().endswith(_CHAT_PATH):
        raise ValueError(f"should end before `{_CHAT_PATH}`, which is added to it")
    return url


_CHAT_PATH: Final = "/chat/completions"
_check_path = matching(r"(/[a-z0-9._~!$&'()*+,;=:@-]+)*", 'a path that starts with `/` and does not end with it, or "" for the root')
_check_url = matching(r"https?://[\x21-\x5b\x5d-\x7e]+", "a URL that starts with http:// or https://")

Name = Annotated[
    str,
    AfterValidator(
        matching(r"[a-z0-9][a-z0-9._-]{0,127}", "1 to 128 letters, digits, `.`, `_` and `-`, the first one a letter or a digit"),
    ),
]
"""Name of a provider, key or tenant."""
ModelName = Annotated[str, AfterValidator(model_name)]
"""Name of a model, as clients send it or as an upstream knows it. It may hold slashes."""
Text = Annotated[str, AfterValidator(matching(r"[\x20-\x7e]{1,256}", "1 to 256 printable ASCII characters"))]
Identifier = Annotated[str, AfterValidator(matching(r"[\x21-\x7e]{1,256}", "1 to 256 printable ASCII characters without spaces"))]
Sha256 = Annotated[str, AfterValidator(matching(r"[0-9a-f]{64}", "64 hexadecimal digits")), AfterValidator(str.lower)]
HeaderName = Annotated[str, AfterValidator(matching(r"[a-z0-9!#$%&'*+.^_`|~-]{1,256}", "a header name")), AfterValidator(str.lower)]
Prefix = Annotated[str, AfterValidator(_prefix)]
BaseUrl = Annotated[str, AfterValidator(base_url)]


_Integer = Annotated[int, BeforeValidator(_not_boolean)]
_Number = Annotated[float, BeforeValidator(_not_boolean), Field(allow_inf_nan=False)]
_Money = Annotated[Decimal, BeforeValidator(_not_boolean)]

Count = Annotated[_Integer, Field(ge=1, le=2**31 - 1)]
Depth = Annotated[_Integer, Field(ge=1, le=200)]
"""Levels of nesting in JSON; pydantic's parser accepts no more than 200."""
Timestamp = Annotated[_Integer, Field(ge=0, le=2**53)]
"""Seconds since 1970."""
Seconds = Annotated[_Number, Field(gt=0, le=86_400)]
LifeTime = Annotated[_Number, Field(ge=0.001, le=31_536_000)]
"""Seconds from a millisecond, in which stores count, to a year."""
Interval = Annotated[_Number, Field(ge=0, le=300)]
"""Seconds, or 0 for never."""
Share = Annotated[_Number, Field(gt=0, le=1)]
Ratio = Annotated[_Number, Field(ge=0, le=1)]
"""Part of a whole, from 0 to 1."""
Weight = Annotated[_Number, Field(gt=0, le=1_000_000)]
"""Share of requests, in proportion to the other weights."""
UsdPerMillion = Annotated[_Money, Field(ge=0, le=1_000_000)]
"""USD per million tokens."""
Amount = Annotated[_Money, Field(gt=0, le=1_000_000_000, decimal_places=9)]
"""USD, with at most nine decimal places (docs/promises.md, Money)."""
Instant = Annotated[datetime, BeforeValidator(_instant)]


def _not_empty(values: tuple[object, ...]) -> tuple[object, ...]:
    # Not pydantic's `min_length`, which counts an item with an error of its own as missing.
    if not values:
        raise ValueError("should have at least one item")
    return values


NOT_EMPTY: Final = AfterValidator(_not_empty)

ModelKind = Literal["chat", "embeddings"]
"""What a model is asked for: chat completions, or embeddings."""
Abandoned = Literal["estimate", "finish", "reserved"]
"""Charge for an answer that nobody waited for (docs/promises.md, Money)."""
KeepAliveForm = Literal["chunk", "comment"]
"""Form of the keep-alives in a silent stream (docs/contract.md, Streams)."""

UnknownParams = Literal["reject", "forward", "ignore"]
"""What happens to parameters that OpenAI's API does not have."""
UnsupportedParams = Literal["reject", "drop", "clamp"]
"""What happens to parameters of OpenAI's API that a target does not take (docs/settings.md, Unsupported parameters)."""
ParamName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,63}$")]
"""Name of a parameter; of a part of one its path, as `stream_options.continuous_usage_stats`."""
