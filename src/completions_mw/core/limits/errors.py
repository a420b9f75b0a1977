"""Errors of rate limits, in the words that OpenAI's SDKs act on (docs/contract.md, Errors)."""

from typing import Final, Literal

from completions_mw.core.limits.durations import go_duration
from completions_mw.errors import NO_RETRY_HEADERS, RateLimitError, retry_headers, shown_name
from completions_mw.http import Headers

_UNITS: Final = {1: ("second", "S"), 60: ("min", "M"), 3600: ("hour", "H"), 86_400: ("day", "D")}
_LONGER_UNITS: Final = ((86_400, "days"), (3600, "hours"), (60, "minutes"))
_SHARED_HINTS: Final = {
    "model": " The limit is shared by all who use the model.",
    "tenant": " The limit is shared by the whole organization.",
}


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
