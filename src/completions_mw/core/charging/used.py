"""The tokens that a request is charged for, however it ended (docs/promises.md, Money)."""

from math import ceil
from typing import Any, Final, NamedTuple

from completions_mw.core.charging.pace import Pace
from completions_mw.core.context import LostAttempt, RequestContext
from completions_mw.core.costs.prices import tokens_of
from completions_mw.core.costs.tokens import TokenEstimate, estimate_tokens
from completions_mw.core.ports import Tokens
from completions_mw.errors import ClientDisconnectedError, GatewayError, RequestTimeoutError, UpstreamTimeoutError
from completions_mw.settings.types import Abandoned

FIRST_TOKEN_SECONDS: Final = 1.0
"""Seconds before the first visible text in which a target is assumed to read the prompt; in what is longer it writes what nobody sees."""
MOST_UNREAD: Final = 0.2
"""Part of the time of an answer in which its client has not asked for more, beyond which the answer says nothing of the target's pace."""
_NO_TOKENS: Final = Tokens()


class Bill(NamedTuple):
    """Tokens that one target used for a request."""

    target: str | None
    """`provider/model`; None if no target was asked."""
    tokens: Tokens


class UsedTokens:
    """Tells the tokens that a request is charged for: those that the target reports, or an estimate.

    A target goes on writing, and bills what it writes, until it is told that nobody waits. So the estimate for an answer whose client has
    left, or that came too late, counts the time in which nothing of the answer was visible: at the target's pace, and never beyond what the
    request could have used.

    Args:
        abandoned: charge for answers that nobody waited for: by that estimate, or all that was reserved.
    """

    def __init__(self, abandoned: Abandoned) -> None:
        self._abandoned = abandoned
        self._pace = Pace()

    def of(
        self, context: RequestContext, estimate: TokenEstimate, usage: dict[str, Any] | None, error: BaseException | None
    ) -> tuple[Tokens, bool]:
        """Return the tokens that the last attempt of a request is charged for, and whether they are an estimate.

        Args:
            context: request context.
            estimate: tokens that the request could have used.
            usage: reported or estimated `usage` object; None where there was no answer.
            error: error with which the request ended; None for a complete answer.
        """
        if usage is not None and not context.estimated:
            tokens = tokens_of(usage)
            if error is None and context.target is not None:
                seconds = context.seconds_of_target()
                # Of an answer that was read slowly nobody knows how fast it was written, since some of it was waiting in buffers.
                if context.unread <= seconds * MOST_UNREAD:
                    self._pace.learn(context.target, tokens.completion, seconds)
            return tokens, False
        # Without a target the error is that of an identical request, which is charged for the answer, or the request was not sent.
        has_target = context.target is not None
        is_abandoned = has_target and _may_go_on(error)
        received = error.received if has_target and isinstance(error, GatewayError) else None
        if usage is not None:
            seen = tokens_of(usage)
        elif received is not None:
            seen = _received(received, estimate)
        elif is_abandoned:
            seen = _NO_TOKENS
        else:
            return _NO_TOKENS, False
        written = seen.completion
        if is_abandoned:
            if self._abandoned == "reserved":
                return _reserved(estimate), True
            written = self._written(context.target or "", context.seconds_of_target(), context.heard, seen.completion, estimate)
        # The estimate of the prompt counts more than the messages' text.
        return seen._replace(prompt=max(seen.prompt, estimate.prompt), completion=written), True

    def lost(self, context: RequestContext, estimate: TokenEstimate) -> list[Bill]:
        """Return the tokens that the attempts of a request before the last one are charged for: estimates, where the target reported none.

        Args:
            context: request context.
            estimate: tokens that each attempt could have used.
        """
        return [Bill(attempt.target, self._of_lost(attempt, estimate)) for attempt in context.lost]

    def _of_lost(self, attempt: LostAttempt, estimate: TokenEstimate) -> Tokens:
        if attempt.usage is not None:
            return tokens_of(attempt.usage)
        if attempt.received is not None:
            return _received(attempt.received, estimate)._replace(prompt=estimate.prompt)
        if self._abandoned == "reserved":
            return _reserved(estimate)
        return Tokens(estimate.prompt, self._written(attempt.target, attempt.seconds, None, 0, estimate))

    def _written(self, target: str, seconds: float, heard: float | None, seen: int, estimate: TokenEstimate) -> int:
        """Return the completion tokens of an abandoned answer.

        Args:
            target: `provider/model` of the target.
            seconds: time since it was asked.
            heard: time from then to the first visible text; None if there was none, or only a number of bytes.
            seen: visible tokens.
            estimate: tokens that the request could have used.
        """
        pace = self._pace.of(target)
        written = max(seen, ceil(seconds * pace)) if heard is None else seen + ceil(max(0.0, heard - FIRST_TOKEN_SECONDS) * pace)
        return max(seen, min(written, estimate.completion))


def _received(size: int, estimate: TokenEstimate) -> Tokens:
    # Not more than was reserved, since much of a body is not text.
    return Tokens(completion=min(estimate_tokens(size), estimate.completion))


def _reserved(estimate: TokenEstimate) -> Tokens:
    return Tokens(estimate.prompt_bound, estimate.completion)


def _may_go_on(error: BaseException | None) -> bool:
    """Return whether a target that was asked may have gone on when the request ended: nobody waited for its answer."""
    if isinstance(error, UpstreamTimeoutError):
        return error.maybe_billed
    # Only a cancelled task ends with an error that is not an `Exception`.
    return isinstance(error, ClientDisconnectedError | RequestTimeoutError) or not isinstance(error, Exception | None)
