"""The refusals of rate limits, in the words and headers that OpenAI's SDKs act on (docs/contract.md, Errors and Headers).

Headers hold numbers and durations alone, so that nothing that a caller chose can get into one.
"""

from collections.abc import Iterable
from typing import Final, Literal

from completions_mw.core.limits.durations import go_duration
from completions_mw.core.ports import LimitState
from completions_mw.errors import NO_RETRY_HEADERS, RateLimitError, shown_name
from completions_mw.http import Headers

MAX_RETRY_MS: Final = 60_000
"""openai-node sleeps for as long as it is told, be it an hour (docs/contract.md, Client retries)."""
_UNITS: Final = {1: ("second", "S"), 60: ("min", "M"), 3600: ("hour", "H"), 86_400: ("day", "D")}
_SPANS: Final = ((86_400, "days"), (3600, "hours"), (60, "minutes"))
_NAMES: Final = {
    family: (f"x-ratelimit-limit-{family}", f"x-ratelimit-remaining-{family}", f"x-ratelimit-reset-{family}")
    for family in ("requests", "tokens", "project-tokens")
}
_SHARED: Final = {"model": " The limit is shared by all who use the model.", "tenant": " The limit is shared by the whole organization."}


Family = Literal["requests", "tokens", "project-tokens"]
"""Which of the `x-ratelimit-` headers show a limit; `project-tokens` are those of a tenant."""


def rate_limit_error(
    model: str,
    tenant: str,
    kind: Literal["requests", "tokens", "concurrency"],
    seconds: int,
    limit: int,
    used: int,
    requested: int,
    wait_ms: int,
    scope: str = "key",
) -> RateLimitError:
    """Return the error for a request that would fit later.

    Args:
        model: asked for.
        tenant: whose organization it is; empty for the host app itself.
        kind: of the limit.
        seconds: of its window; of no matter for concurrency.
        limit: what is allowed.
        used: what others have taken of it.
        requested: what this request asks of it.
        wait_ms: after which a retry makes sense.
        scope: whose limit it is: `key`, `caller`, `tenant` or `model`.
    """
    # The SDKs take 0 for no advice at all, and wait as they like.
    wait_ms = max(wait_ms, 1)
    what = "concurrent requests" if kind == "concurrency" else _per(kind, seconds)
    text = f"Rate limit reached for {shown_name(model)}{_of(tenant)} on {what}: "
    text += f"Limit {limit}, Used {used}, Requested {requested}. Please try again in {go_duration(wait_ms)}.{_SHARED.get(scope, '')}"
    soon = min(wait_ms, MAX_RETRY_MS)
    headers: Headers = (("retry-after", str(-(-soon // 1000))), ("retry-after-ms", str(soon)))
    if wait_ms > soon:
        # It would wait for the longest time that we can advise, in vain.
        headers = (*headers, *NO_RETRY_HEADERS)
    return _refusal(text, "tokens" if kind == "tokens" else "requests", headers)


def tokens_too_large_error(model: str, tenant: str, seconds: int, limit: int, requested: int) -> RateLimitError:
    """Return the error for a request that asks for more tokens than a whole window has, so that no retry helps."""
    text = f"Request too large for {shown_name(model)}{_of(tenant)} on {_per('tokens', seconds)}: "
    text += f"Limit {limit}, Requested {requested}. The input or output tokens must be reduced in order to run successfully."
    return _refusal(text, "tokens", NO_RETRY_HEADERS)


def rate_limit_headers(limits: Iterable[tuple[Family, int, LimitState]]) -> Headers:
    """Return the `x-ratelimit-` headers (docs/contract.md, Headers).

    Args:
        limits: of each limit its family, the amount that it allows, and how it stands. Of several of a family the headers show the one
            with the smallest share left; of two that are equally used up, the one that stays so for longer.
    """
    shown: dict[Family, tuple[tuple[float, int], int, LimitState]] = {}
    for family, limit, state in limits:
        rank = (max(limit - state.used, 0) / limit, -state.reset_ms)
        if family not in shown or rank < shown[family][0]:
            shown[family] = (rank, limit, state)
    headers: list[tuple[str, str]] = []
    for family, (_, limit, state) in shown.items():
        allowed, remaining, reset = _NAMES[family]
        headers += ((allowed, str(limit)), (remaining, str(max(limit - state.used, 0))), (reset, go_duration(state.reset_ms)))
    return tuple(headers)


def _refusal(text: str, type: str, headers: Headers) -> RateLimitError:
    error = RateLimitError(text, type=type, headers=headers)
    # It is we who refuse, so another target is no way around it.
    error.next_target = False
    return error


def _per(kind: str, seconds: int) -> str:
    if seconds in _UNITS:
        unit, letter = _UNITS[seconds]
        return f"{kind} per {unit} ({kind[0].upper()}P{letter})"
    size, span = next(((size, span) for size, span in _SPANS if seconds % size == 0), (1, "seconds"))
    return f"{kind} per {seconds // size} {span}"


def _of(tenant: str) -> str:
    return f" in organization {shown_name(tenant)}" if tenant else ""
