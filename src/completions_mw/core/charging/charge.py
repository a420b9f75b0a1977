"""What one request holds while it runs, and what it has used."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from completions_mw.core.budgets.budgets import AppliedBudget
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.estimate import TokenEstimate
from completions_mw.core.costs.prices import FREE, cost, tokens_of
from completions_mw.core.costs.tokens import estimate_tokens
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.keys.caller import Caller
from completions_mw.core.limits.limiter import Grant, LimitSet
from completions_mw.core.ports import Entry, Lease, Ledger, Outcome, Tokens
from completions_mw.core.telemetry.request_log import verdict
from completions_mw.errors import ClientDisconnectedError, GatewayError, ServiceUnavailableError

CHECKPOINT_SECONDS: Final = 1.0
CHECKPOINT_CHUNKS: Final = 64
"""At most so much of a stream is unbilled if its worker is killed (docs/promises.md, Money)."""
MAX_FINISH_REASON: Final = 64
"""Characters of it that the ledger keeps."""
_NOTHING: Final = Tokens()

Deferred = deque[Callable[[], Awaitable[None]]]
"""Ends of requests that nobody could wait for, in the order in which they came."""


class Charge:
    """What one request holds and has used. It is settled exactly once, however the request ends.

    The maintenance renews what a charge holds, and knows the charge weakly: the leases and reservations of a stream that is dropped
    and never collected end by themselves.

    Args:
        context: of the request.
        entry: the request as the ledger has it.
        caller: who asks; None for the host app itself.
        model: that is asked.
        estimate: the tokens that the request may take.
        limits: what the request is admitted by; None where it meets no limit.
        budgets: what the request is charged to.
        ledger: takes checkpoints; None where there is no ledger.
        deferred: takes the end of a stream that the garbage collector finds.
    """

    __slots__ = (
        "__weakref__",
        "_chunks",
        "_deferred",
        "_is_noted",
        "_ledger",
        "_usage",
        "amount",
        "budgets",
        "caller",
        "checkpointed",
        "context",
        "entry",
        "estimate",
        "grants",
        "holds_limits",
        "is_open",
        "is_watched",
        "limits",
        "lost",
        "model",
        "reserved",
    )

    def __init__(
        self,
        context: RequestContext,
        entry: Entry,
        caller: Caller | None,
        model: CatalogModel,
        estimate: TokenEstimate,
        limits: LimitSet | None,
        budgets: tuple[AppliedBudget, ...],
        ledger: Ledger | None,
        deferred: Deferred,
    ) -> None:
        self.context = context
        self.entry = entry
        self.caller = caller
        self.model = model
        self.estimate = estimate
        self.limits = limits
        self.budgets = budgets
        self.amount = 0
        """Nano-dollars that the request may cost at most, once it is priced."""
        self.grants: tuple[Grant, ...] = ()
        """What the store of limits has granted."""
        self.holds_limits = False
        """Whether there is something to give back to the store of limits."""
        self.reserved: int | None = None
        """Nano-dollars that are held in the budgets."""
        self.lost = False
        """Whether a lease or the reservation was given to others, because nobody could renew it in time."""
        self.is_open = True
        self.is_watched = False
        """Whether the maintenance runs, and would settle this charge."""
        self.checkpointed = context.clock.monotonic()
        self._ledger = ledger
        self._deferred = deferred
        self._usage: Callable[[], dict[str, Any]] | None = None
        self._chunks = 0
        self._is_noted = False

    @property
    def leases(self) -> tuple[Lease, ...]:
        """What the request leases."""
        return self.grants[0].leases if self.grants else ()

    def follow(self, usage: Callable[[], dict[str, Any]]) -> None:
        """Let `usage` tell from now on what the request has used so far."""
        self._usage = usage

    def is_due(self, chunks: int) -> bool:
        """Tell whether a checkpoint is to be made after so many more chunks."""
        if self.reserved is None:
            return self.lost
        self._chunks += chunks
        due_at = self.checkpointed + CHECKPOINT_SECONDS
        return self.lost or self._chunks >= CHECKPOINT_CHUNKS or self.context.clock.monotonic() >= due_at

    async def checkpoint(self) -> None:
        """Note what the stream has used so far: what is charged if its worker dies now.

        Raises:
            ServiceUnavailableError: the request has lost what it held, so that it must end.
        """
        if self.lost:
            text = "The request lost its place, or the money that was held for it. Please try again."
            raise ServiceUnavailableError(text, code="lease_lost")
        if self.reserved is not None:
            await self._note()

    async def catch_up(self) -> None:
        """Note what was used since the last checkpoint, where no further chunk came: called by the maintenance."""
        if self.reserved is not None and self.context.target is not None and (self._chunks or not self._is_noted):
            await self._note()

    def defer(self, end: Callable[[], Awaitable[None]]) -> None:
        """Let the maintenance run `end`: for the garbage collector, which must not wait for a store."""
        self._deferred.append(end)

    def used(self, usage: dict[str, Any] | None, error: BaseException | None) -> tuple[Tokens, bool]:
        """Return the tokens that the request is charged, and whether they are an estimate.

        Args:
            usage: as answered or estimated; None where there was no answer.
            error: how the request failed; None where it completed.
        """
        if usage is not None:
            tokens = tokens_of(usage)
            return (self._at_least_the_prompt(tokens), True) if self.context.estimated else (tokens, False)
        has_left = isinstance(error, ClientDisconnectedError) or not isinstance(error, Exception | None)
        if self.context.target is not None and has_left:
            # The upstream was at work for a client that left: it has read the prompt at least.
            return Tokens(prompt=self.estimate.prompt), True
        if isinstance(error, GatewayError) and error.received is not None:
            # No more than was reserved: much of a body is no text.
            return Tokens(self.estimate.prompt, min(estimate_tokens(error.received), self.estimate.completion)), True
        return _NOTHING, False

    def outcome(self, tokens: Tokens, estimated: bool, error: BaseException | None) -> Outcome:
        """Return what the ledger keeps of the request."""
        context = self.context
        reason = context.finish_reason
        status, code = verdict(error)
        return Outcome(
            status=status,
            code=code,
            target=context.target,
            finish_reason=reason[:MAX_FINISH_REASON] if isinstance(reason, str) else None,
            tokens=tokens,
            cost=self._cost(tokens),
            estimated=estimated,
            first_ms=context.first_ms,
            total_ms=context.milliseconds(),
        )

    async def _note(self) -> None:
        tokens = self._at_least_the_prompt(_NOTHING if self._usage is None else tokens_of(self._usage()))
        self._is_noted = True
        self._chunks = 0
        self.checkpointed = self.context.clock.monotonic()
        if self._ledger is not None:
            await self._ledger.checkpoint(self.entry.request_id, self._cost(tokens), tokens)

    def _at_least_the_prompt(self, tokens: Tokens) -> Tokens:
        """Return an estimate with all that is known of the prompt, which is more than the usage that a client gets says."""
        return tokens._replace(prompt=max(tokens.prompt, self.estimate.prompt))

    def _cost(self, tokens: Tokens) -> int:
        return cost(self.model.prices.get(self.context.target or "", FREE), tokens)
