"""A charge: the leases, tokens and money that one request holds, and the usage that it is charged for."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from completions_mw.core.budgets.budgets import AppliedBudget
from completions_mw.core.cache.semantic import SEMANTIC_TARGET
from completions_mw.core.charging.used import Bill, UsedTokens
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.prices import FREE, Price, cost, tokens_of
from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.keys.caller import Caller
from completions_mw.core.limits.limit_set import LimitSet
from completions_mw.core.ports import Entry, Lease, Ledger, Outcome, Tokens
from completions_mw.core.telemetry.request_log import verdict
from completions_mw.errors import ServiceUnavailableError

CHECKPOINT_SECONDS: Final = 1.0
"""Seconds of a stream between checkpoints: at most so many are unbilled if the worker is killed (docs/promises.md, Money)."""
CHECKPOINT_CHUNKS: Final = 64
"""Number of chunks of a stream between checkpoints: at most so many are unbilled if the worker is killed (docs/promises.md, Money)."""
_FINISH_REASON: Final = re.compile("[A-Za-z_]{1,64}")
"""Form of a `finish_reason` that the ledger keeps: a word, so that an upstream cannot write its key there."""
_NO_TOKENS: Final = Tokens()

Deferred = Callable[[], Awaitable[None]]
"""The end of a request that the garbage collector found, for the maintenance to run."""


class Accounting(NamedTuple):
    """What all charges use."""

    ledger: Ledger | None
    """Ledger for checkpoints; None where there is none."""
    used: UsedTokens
    """Tells what attempts before the last one have used."""
    defer: Callable[[Deferred], None]
    """Lets the maintenance run the end of a stream that the garbage collector found, which must not wait for a store."""


class Charge:
    """The leases, tokens and money that one request holds, and the usage that it is charged for. Settled exactly once.

    The maintenance renews leases and reservations and refers to a charge weakly, so that those of a dropped stream expire.

    Args:
        context: request context.
        entry: the request's row in the ledger; None where there is no ledger.
        caller: the caller; None for the host app itself.
        model: model that the client asked for.
        estimate: tokens that the request may use; all 0 where they do not count.
        limits: limits that apply to the request; None if there are none.
        budgets: budgets that the request is charged to.
        accounting: what all charges use.
    """

    __slots__ = (
        "__weakref__",
        "_accounting",
        "_chunks",
        "_is_noted",
        "_usage",
        "amount",
        "budgets",
        "caller",
        "cancel",
        "checkpointed",
        "context",
        "entry",
        "estimate",
        "held",
        "is_admitted",
        "is_alive",
        "is_metered",
        "is_open",
        "is_priced",
        "is_watched",
        "leases",
        "limits",
        "lost",
        "model",
        "reserved",
    )

    def __init__(
        self,
        context: RequestContext,
        entry: Entry | None,
        caller: Caller | None,
        model: CatalogModel,
        estimate: TokenEstimate,
        limits: LimitSet | None,
        budgets: tuple[AppliedBudget, ...],
        accounting: Accounting,
    ) -> None:
        self.context = context
        self.entry = entry
        self.caller = caller
        self.model = model
        self.estimate = estimate
        self.limits = limits
        self.budgets = budgets
        self.is_metered = False
        """Whether the tokens of the request count: for a limit on tokens, for its price, or for its row in the ledger."""
        self.is_priced = False
        """Whether a budget or a maximum cost applies, so that the request must be priced before it is sent."""
        self.is_admitted = False
        """Whether the request is charged to its limits on requests and concurrency, but not yet to its limits on tokens."""
        self.amount = 0
        """Maximum cost in nano-dollars; 0 until the request is priced."""
        self.held: tuple[str, ...] = ()
        """Ids under which the admission store must be told when the request ends."""
        self.leases: tuple[Lease, ...] = ()
        """Leases that the request holds."""
        self.reserved: int | None = None
        """Nano-dollars reserved in the budgets; None where nothing is reserved."""
        self.lost = False
        """Whether a lease or the reservation has expired and was given to another request."""
        self.is_open = True
        """Whether the charge is neither settled nor released."""
        self.is_watched = False
        """Whether the maintenance runs, so that it would run what is deferred."""
        self.is_alive: Callable[[], bool] = _always
        """Tells whether the request can still go on, as its event loop has not ended."""
        self.cancel: Callable[[], None] = _nothing
        """Cancels the request, where it can be cancelled."""
        self.checkpointed = context.started
        """Time of the last checkpoint, in seconds of the monotonic clock."""
        self._accounting = accounting
        self._usage: Callable[[], dict[str, Any]] | None = None
        self._chunks = 0
        self._is_noted = False

    def follow(self, usage: Callable[[], dict[str, Any]]) -> None:
        """Take the usage so far from `usage`, which returns a `usage` object."""
        self._usage = usage

    def defer(self, end: Deferred) -> None:
        """Let the maintenance run the end of the stream, which the garbage collector found."""
        self._accounting.defer(end)

    def heard(self) -> None:
        """Note that the first text of the answer has come."""
        self.context.heard = self.context.seconds_of_target()

    def is_due(self, chunks: int, now: float) -> bool:
        """Count `chunks` more chunks, and return whether a checkpoint is due at the monotonic time `now`."""
        if self.reserved is None:
            return self.lost
        self._chunks += chunks
        return self.lost or self._chunks >= CHECKPOINT_CHUNKS or now >= self.checkpointed + CHECKPOINT_SECONDS

    async def checkpoint(self) -> None:
        """Write the usage so far to the ledger, which charges it if the worker dies.

        Raises:
            ServiceUnavailableError: the request has lost a lease or its reservation, so the stream must end.
        """
        if self.lost:
            text = "The request lost its place, or the money that was held for it. Please try again."
            raise ServiceUnavailableError(text, code="lease_lost")
        if self.reserved is not None:
            await self._note()

    async def catch_up(self) -> None:
        """Make the checkpoint of a stream whose next chunk is late; called by the maintenance."""
        if self.reserved is not None and self.context.target is not None and (self._chunks or not self._is_noted):
            await self._note()

    def outcome(self, bills: Sequence[Bill], estimated: bool, error: BaseException | None) -> Outcome:
        """Return the outcome of the request for the ledger.

        Args:
            bills: tokens of the answer, and of each attempt before it that is charged.
            estimated: whether any of them are an estimate.
            error: error with which the request ended; None for a complete answer.
        """
        context = self.context
        reason = context.finish_reason
        status, code = (200, None) if error is None else verdict(error)
        tokens, amount = self._sum(bills)
        return Outcome(
            status=status,
            code=code,
            target=context.target,
            finish_reason=reason if isinstance(reason, str) and _FINISH_REASON.fullmatch(reason) else None,
            tokens=tokens,
            cost=amount,
            estimated=estimated,
            first_ms=context.first_ms,
            total_ms=context.milliseconds(),
            from_cache=context.is_from_cache,
            saved=0 if context.saved is None else cost(self._price(context.target), tokens_of(context.saved)),
        )

    async def _note(self) -> None:
        tokens = _NO_TOKENS if self._usage is None else tokens_of(self._usage())
        # The estimate of the prompt counts more than the messages' text.
        tokens = tokens._replace(prompt=max(tokens.prompt, self.estimate.prompt))
        self._is_noted = True
        self._chunks = 0
        self.checkpointed = self.context.clock.monotonic()
        ledger, used, _ = self._accounting
        if ledger is not None:
            tokens, amount = self._sum([Bill(self.context.target, tokens), *used.lost(self.context, self.estimate)])
            await ledger.checkpoint(self.context.id, amount, tokens)

    def _sum(self, bills: Sequence[Bill]) -> tuple[Tokens, int]:
        """Return the tokens of all attempts, and what they cost, each at the price of its target."""
        amount = sum([cost(self._price(bill.target), bill.tokens) for bill in bills])
        if len(bills) == 1:
            return bills[0].tokens, amount
        return Tokens(*map(sum, zip(*[bill.tokens for bill in bills], strict=True))), amount

    def _price(self, target: str | None) -> Price:
        if target == SEMANTIC_TARGET:
            # Without the host app's cache, the first target would most likely have answered.
            target = self.model.targets[0].name
        return self.model.prices.get(target or "", FREE)


def _always() -> bool:
    return True


def _nothing() -> None: ...
