"""Errors and headers of rate limits, in the words that OpenAI's SDKs act on (docs/contract.md, Errors and Headers).

Headers hold only numbers and durations, so that no text chosen by a caller can get into one.
"""

from collections.abc import Iterable
from typing import Final, Literal

from completions_mw.core.ports import LimitState
from completions_mw.errors import NO_RETRY_HEADERS, RateLimitError, retry_headers, shown_name
from completions_mw.http import Headers

_SECOND: Final = 1000
_MINUTE: Final = 60 * _SECOND
_UNITS: Final = {1: ("second", "S"), 60: ("min", "M"), 3600: ("hour", "H"), 86_400: ("day", "D")}
_LONGER_UNITS: Final = ((86_400, "days"), (3600, "hours"), (60, "minutes"))
_HEADER_NAMES: Final = {
    family: (f"x-ratelimit-limit-{family}", f"x-ratelimit-remaining-{family}", f"x-ratelimit-reset-{family}")
    for family in ("requests", "tokens", "project-tokens")
}
_SHARED_HINTS: Final = {
    "model": " The limit is shared by all who use the model.",
    "tenant": " The limit is shared by the whole organization.",
}

Family = Literal["requests", "tokens", "project-tokens"]
"""Suffix of the `x-ratelimit-` headers that show a limit; a tenant's limits on tokens have `project-tokens`."""


def rate_limit_error(
    model: str,
    organization: str,
    kind: Literal["requests", "tokens", "concurrency"],
    seconds: int,
    limit: int,
    used: int,
    requested: int,
    wait_ms: int,
    scope: str = "key",
) -> RateLimitError:
    """Return the error for a request that exceeds a limit now and would fit later.

    Args:
        model: name that the client asked for.
        organization: tenant or caller that the text names; empty for the host app itself.
        kind: what the limit counts.
        seconds: length of the limit's window; ignored for concurrency.
        limit: amount that the limit allows.
        used: amount that other requests use.
        requested: amount that the refused request asks for.
        wait_ms: milliseconds after which a retry may succeed.
        scope: owner of the limit: `key`, `caller`, `tenant` or `model`.
    """
    wait_ms = max(wait_ms, 1)
    what = "concurrent requests" if kind == "concurrency" else _per(kind, seconds)
    text = f"Rate limit reached for {shown_name(model)}{_of(organization)} on {what}: "
    text += f"Limit {limit}, Used {used}, Requested {requested}. Please try again in {go_duration(wait_ms)}.{_SHARED_HINTS.get(scope, '')}"
    return _refusal(text, "tokens" if kind == "tokens" else "requests", retry_headers(wait_ms))


def tokens_too_large_error(model: str, organization: str, seconds: int, limit: int, requested: int) -> RateLimitError:
    """Return the error for a request that asks for more tokens than the limit of a whole window, so that no retry helps."""
    text = f"Request too large for {shown_name(model)}{_of(organization)} on {_per('tokens', seconds)}: "
    text += f"Limit {limit}, Requested {requested}. The input or output tokens must be reduced in order to run successfully."
    return _refusal(text, "tokens", NO_RETRY_HEADERS)


def rate_limit_headers(limits: Iterable[tuple[Family, int, LimitState]]) -> Headers:
    """Return the `x-ratelimit-` headers (docs/contract.md, Headers).

    Args:
        limits: family, allowed amount and state of each limit. Of several limits of one family the headers show the one with the smallest
            share left; of two that are equally used up, the one that resets later.
    """
    shown: dict[Family, tuple[int, LimitState]] = {}
    for family, limit, state in limits:
        if family not in shown or _left(limit, state) < _left(*shown[family]):
            shown[family] = (limit, state)
    headers: list[tuple[str, str]] = []
    for family, (limit, state) in shown.items():
        allowed, remaining, reset = _HEADER_NAMES[family]
        headers += ((allowed, str(limit)), (remaining, str(max(limit - state.used, 0))), (reset, go_duration(state.reset_ms)))
    return tuple(headers)


def _left(limit: int, state: LimitState) -> tuple[float, int]:
    return max(limit - state.used, 0) / limit, -state.reset_ms


def go_duration(milliseconds: int) -> str:
    """Return a duration as Go's `time.Duration.String` does, as in OpenAI's headers: `0s`, `120ms`, `9.816s`, `6m0s`, `1h23m31s`."""
    if milliseconds < 0:
        return f"-{go_duration(-milliseconds)}"
    if 0 < milliseconds < _SECOND:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, _MINUTE)
    # `g` keeps six digits, and 59.999 has five.
    text = f"{rest / _SECOND:g}s"
    if not minutes:
        return text
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"


def _refusal(text: str, type: str, headers: Headers) -> RateLimitError:
    error = RateLimitError(text, type=type, headers=headers)
    # The gateway refuses, so asking another target would not help.
    error.next_target = False
    return error


def _per(kind: str, seconds: int) -> str:
    if seconds in _UNITS:
        unit, letter = _UNITS[seconds]
        return f"{kind} per {unit} ({kind[0].upper()}P{letter})"
    size, span = next(((size, span) for size, span in _LONGER_UNITS if seconds % size == 0), (1, "seconds"))
    return f"{kind} per {seconds // size} {span}"


def _of(organization: str) -> str:
    return f" in organization {shown_name(organization)}" if organization else ""
