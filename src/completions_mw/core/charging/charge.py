"""What one request holds while it runs, and what it used in the end."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from completions_mw.core.context import RequestContext
from completions_mw.core.costs.estimate import TokenEstimate
from completions_mw.core.costs.prices import FREE, cost, tokens_of
from completions_mw.core.costs.tokens import estimate_tokens
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.limits.limiter import Grant
from completions_mw.core.ports import Entry, Lease, Outcome, Tokens
from completions_mw.errors import ClientDisconnectedError, GatewayError, InternalError, ServiceUnavailableError

CHECKPOINT_SECONDS: Final = 1.0
CHECKPOINT_CHUNKS: Final = 64
"""At most so much of a stream is unbilled if its worker is killed (FAULTS section 1, promise 2)."""
MAX_REASON: Final = 64
_NOTHING: Final = Tokens()


class Books(Protocol):
    """Where charges are kept."""

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        """Note what a stream has cost so far."""
        ...

    async def settle(self, charge: "Charge", tokens: Tokens, estimated: bool, error: BaseException | None) -> None:
        """Post what a request used, even if it is cancelled meanwhile."""
        ...


class Charge:
    """What one request holds. It is settled exactly once, however it ends.

    Weakly known to the upkeep, which renews it: a stream that somebody drops without closing it is over with its lease.
    """

    __slots__ = (
        "__weakref__",
        "_books",
        "_chunks",
        "_model",
        "_noted",
        "admitted",
        "checkpointed",
        "entry",
        "estimate",
        "exchange",
        "is_open",
        "lost",
        "reserved",
        "usage",
    )

    def __init__(self, books: Books, entry: Entry, model: CatalogModel, exchange: RequestContext, estimate: TokenEstimate) -> None:
        self._books = books
        self.checkpointed = exchange.clock.monotonic()
        self._chunks = 0
        self._noted = False
        self.is_open = True
        self.entry = entry
        self._model = model
        self.exchange = exchange
        self.estimate = estimate
        self.admitted: Grant | None = None
        self.reserved: int | None = None
        """Nano-dollars."""
        self.usage: Callable[[], dict[str, Any]] | None = None
        """What the stream has used so far, once there is one."""
        self.lost = False
        """Whether its place or its money was given to others, because nobody could renew it in time (FAULTS FC-76)."""

    @property
    def leases(self) -> tuple[Lease, ...]:
        """The places that the request leases."""
        return () if self.admitted is None else self.admitted.leases

    @property
    def holds_limits(self) -> bool:
        """Whether the store of limits has something to take back: places, or tokens that were not used."""
        return self.admitted is not None and (self.admitted.counts_tokens or bool(self.admitted.leases))

    def is_due(self, chunks: int) -> bool:
        """Tell whether there is something to do after so many more chunks."""
        if self.reserved is None:
            return self.lost
        self._chunks += chunks
        due_at = self.checkpointed + CHECKPOINT_SECONDS
        return self.lost or self._chunks >= CHECKPOINT_CHUNKS or self.exchange.clock.monotonic() >= due_at

    async def checkpoint(self, usage: dict[str, Any]) -> None:
        """Note what the stream has used so far, for the case that its worker dies.

        Raises:
            ServiceUnavailableError: the request has lost what it held, so it must end.
        """
        if self.lost:
            text = "The request lost its place, or the money that was held for it. Please try again."
            raise ServiceUnavailableError(text, code="lease_lost")
        if self.reserved is not None:
            await self._note(self._at_least_the_prompt(tokens_of(usage)))

    async def catch_up(self) -> None:
        """Note what nobody has noted for a while, because no further chunk came: called from beside the request."""
        if self.reserved is None or self.exchange.target is None or not (self._chunks or not self._noted):
            return
        await self._note(self._at_least_the_prompt(Tokens() if self.usage is None else tokens_of(self.usage())))

    async def _note(self, tokens: Tokens) -> None:
        self._noted = True
        self._chunks = 0
        self.checkpointed = self.exchange.clock.monotonic()
        await self._books.checkpoint(self.entry.request_id, self._cost(tokens), tokens)

    async def settle(self, usage: dict[str, Any] | None, error: BaseException | None) -> None:
        """Post what the request used, and give back the rest; the first call counts.

        Args:
            usage: as answered or estimated; None where there was no answer.
            error: how the request failed, if it did.
        """
        if self.is_open:
            self.is_open = False
            tokens, estimated = self._used(usage, error)
            await self._books.settle(self, tokens, estimated, error)

    def outcome(self, tokens: Tokens, estimated: bool, error: BaseException | None) -> Outcome:
        """Return what the ledger keeps of a request that used `tokens`."""
        exchange = self.exchange
        reason = exchange.finish_reason
        status, code = _verdict(error)
        return Outcome(
            status=status,
            code=code,
            target=exchange.target,
            finish_reason=reason[:MAX_REASON] if isinstance(reason, str) else None,
            tokens=tokens,
            cost=self._cost(tokens),
            estimated=estimated,
            first_ms=exchange.first_ms,
            total_ms=exchange.milliseconds(),
        )

    def _used(self, usage: dict[str, Any] | None, error: BaseException | None) -> tuple[Tokens, bool]:
        if usage is not None:
            tokens = tokens_of(usage)
            return (self._at_least_the_prompt(tokens), True) if self.exchange.estimated else (tokens, False)
        if self.exchange.target is not None and _has_left(error):
            # The upstream was at work for a client that left: it has read the prompt at least.
            return Tokens(prompt=self.estimate.prompt), True
        if isinstance(error, GatewayError) and error.received is not None:
            # No more than was reserved: much of a body is no text.
            return Tokens(self.estimate.prompt, min(estimate_tokens(error.received), self.estimate.completion)), True
        return _NOTHING, False

    def _at_least_the_prompt(self, tokens: Tokens) -> Tokens:
        """Return an estimate with all that we know of the prompt, which is more than the usage that a client gets says."""
        return tokens._replace(prompt=max(tokens.prompt, self.estimate.prompt))

    def _cost(self, tokens: Tokens) -> int:
        return cost(self._model.prices.get(self.exchange.target or "", FREE), tokens)


def _verdict(error: BaseException | None) -> tuple[int, str | None]:
    """Return the status and the error code that the access log has too."""
    if error is None:
        return 200, None
    if _has_left(error):
        return ClientDisconnectedError.status, ClientDisconnectedError.code
    return (error.status, error.code) if isinstance(error, GatewayError) else (InternalError.status, InternalError.code)


def _has_left(error: BaseException | None) -> bool:
    """Tell whether the client left: a task is cancelled by what is no `Exception`."""
    return isinstance(error, ClientDisconnectedError) or not isinstance(error, Exception | None)
