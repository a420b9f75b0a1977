"""What the failure of a target says: who may be asked next, and whether the target is to blame (docs/routing.md, Failures)."""

import re
from collections.abc import Set
from typing import Final

from completions_mw.core.context import RequestContext
from completions_mw.errors import GatewayError, InvalidRequestError, UpstreamError, UpstreamTimeoutError
from completions_mw.settings import FallbackOn

_REPEATED_STATUSES: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 529})
"""Statuses of refusals that may pass. With 504 the upstream may be at work."""
_REPEATED_CODES: Final = frozenset({"upstream_unreachable", "upstream_timeout"})
"""Codes of calls that ended without any answer, and were not billed."""
_REFUSED_STATUSES: Final = frozenset({401, 402, 403})
"""Statuses that refuse the API key, or its empty account."""
_ADVISING_STATUSES: Final = frozenset({429, 503, 529})
"""Statuses whose `Retry-After` says when the upstream wants to be asked again."""
_NO_QUOTA: Final = "insufficient_quota"
_CONTENT_FILTER: Final = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
_CONTEXT_LENGTH: Final = re.compile(r"context[_ ](length|window|size)", re.IGNORECASE)
"""Matches errors for a request that is too long: some servers say so in the message only, and not in a code."""
REFUSED_KEY_SECONDS: Final = 60.0
"""Seconds for which an API key that the upstream refused is passed over."""
LIMITED_KEY_SECONDS: Final = 1.0
"""Seconds for which an API key at its rate limit is passed over, if there are others and the upstream does not say for how long."""
MAX_COOLDOWN: Final = 60.0


def allows_fallback(error: GatewayError, fallback_on: Set[FallbackOn]) -> bool:
    """Return whether the next target may be asked after a failure.

    Args:
        error: the failure.
        fallback_on: further failures after which the settings allow it.
    """
    return error.next_target or (bool(fallback_on) and not error.received and not fallback_on.isdisjoint(_kinds(error)))


def is_retryable(error: GatewayError, *, maybe_billed: bool) -> bool:
    """Return whether the same target may be asked once more after a failure.

    Args:
        error: the failure.
        maybe_billed: whether the settings allow it for an attempt that may be billed.
    """
    if error.received is not None or dict(error.headers).get("x-should-retry") == "false":
        return False
    if error.maybe_billed:
        return maybe_billed
    if error.upstream_status is None:
        return error.code in _REPEATED_CODES
    return error.upstream_status in _REPEATED_STATUSES and error.upstream_code != _NO_QUOTA


def is_fault(error: GatewayError) -> bool:
    """Return whether a failure speaks against the target: it was not reached, broke off, or answered with neither 2xx nor 4xx."""
    if error.upstream_status is None:
        return isinstance(error, UpstreamError | UpstreamTimeoutError)
    return not 400 <= error.upstream_status < 500


def is_charged(error: GatewayError) -> bool:
    """Return whether an attempt is charged although it failed: a part of the answer has come, or the target may be writing it."""
    is_billed = error.received is not None or error.usage is not None
    return is_billed or (error.maybe_billed and isinstance(error, UpstreamTimeoutError))


def tell_of_deadline(error: BaseException | None, context: RequestContext) -> None:
    """Let a timeout say so if it was the client's own deadline that passed, and not a timeout of the settings.

    Args:
        error: failure of a request, of which the client has not been told yet.
        context: request context.
    """
    if context.deadline is None or not isinstance(error, UpstreamTimeoutError) or error.upstream_status is not None:
        return
    if context.clock.monotonic() >= context.deadline:
        error.message = "The answer was not complete within the time that the header 'x-request-timeout-ms' allows."
        error.code, error.source = "deadline_exceeded", "gateway"


def refuses_key(error: GatewayError) -> bool:
    """Return whether an upstream refused the API key, so that only the operator can help."""
    return error.upstream_status in _REFUSED_STATUSES or (error.upstream_status == 429 and error.upstream_code == _NO_QUOTA)


def cooldown(error: GatewayError, keys: int) -> float:
    """Return the seconds for which the API key that a request had should be passed over; 0 for none.

    Args:
        error: failure of the request.
        keys: number of keys that the target has.
    """
    if refuses_key(error):
        return REFUSED_KEY_SECONDS
    if error.upstream_status not in _ADVISING_STATUSES:
        return 0.0
    advice = dict(error.headers).get("retry-after-ms")
    if advice is not None:
        return min(int(advice) / 1000, MAX_COOLDOWN)
    return LIMITED_KEY_SECONDS if keys > 1 and error.upstream_status == 429 else 0.0


def _kinds(error: GatewayError) -> set[FallbackOn]:
    kinds: set[FallbackOn] = set()
    if isinstance(error, UpstreamTimeoutError):
        kinds.add("timeout")
    elif isinstance(error, InvalidRequestError):
        if error.code in _CONTENT_FILTER:
            kinds.add("content_filter")
        if _CONTEXT_LENGTH.search(f"{error.code} {error.message}"):
            kinds.add("context_length")
    return kinds
