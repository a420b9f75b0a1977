"""The tokens that a request is charged for, however it ended (docs/promises.md, Money)."""

from math import ceil
from typing import Any, Final

from completions_mw.core.charging.pace import Pace
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.prices import tokens_of
from completions_mw.core.costs.tokens import TokenEstimate, estimate_tokens
from completions_mw.core.ports import Tokens
from completions_mw.errors import ClientDisconnectedError, GatewayError, RequestTimeoutError, UpstreamTimeoutError
from completions_mw.settings.types import Abandoned

FIRST_TOKEN_SECONDS: Final = 1.0
"""Seconds before the first visible text in which a target is assumed to read the prompt; in what is longer it writes what nobody sees."""
_NO_TOKENS: Final = Tokens()


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
        """Return the tokens that a request is charged for, and whether they are an estimate.

        Args:
            context: request context.
            estimate: tokens that the request could have used.
            usage: reported or estimated `usage` object; None where there was no answer.
            error: error with which the request ended; None for a complete answer.
        """
        if usage is not None and not context.estimated:
            tokens = tokens_of(usage)
            if error is None and context.target is not None:
                self._pace.learn(context.target, tokens.completion, context.seconds_of_target())
            return tokens, False
        is_abandoned = context.target is not None and _may_go_on(error)
        received = error.received if isinstance(error, GatewayError) else None
        if usage is not None:
            seen = tokens_of(usage)
        elif received is not None:
            # Not more than was reserved, since much of a body is not text.
            seen = Tokens(completion=min(estimate_tokens(received), estimate.completion))
        elif is_abandoned:
            seen = _NO_TOKENS
        else:
            return _NO_TOKENS, False
        if is_abandoned and self._abandoned == "reserved":
            return Tokens(estimate.prompt_bound, estimate.completion), True
        completion = self._with_unseen(context, estimate, seen.completion) if is_abandoned else seen.completion
        # The estimate of the prompt counts more than the messages' text.
        return seen._replace(prompt=max(seen.prompt, estimate.prompt), completion=completion), True

    def _with_unseen(self, context: RequestContext, estimate: TokenEstimate, seen: int) -> int:
        """Return the tokens of an abandoned answer of which `seen` are visible."""
        assert context.target is not None
        pace = self._pace.of(context.target)
        if context.heard is None:
            # Visible only by their number of bytes, if at all.
            written = max(seen, ceil(context.seconds_of_target() * pace))
        else:
            written = seen + ceil(max(0.0, context.heard - FIRST_TOKEN_SECONDS) * pace)
        return max(seen, min(written, estimate.completion))


def _may_go_on(error: BaseException | None) -> bool:
    """Tell whether a target that was asked may have gone on when the request ended: nobody waited for its answer."""
    if isinstance(error, UpstreamTimeoutError):
        return error.maybe_billed
    # Only a cancelled task ends with an error that is not an `Exception`.
    return isinstance(error, ClientDisconnectedError | RequestTimeoutError) or not isinstance(error, Exception | None)
