"""Money: what is reserved, what is spent, by whom and for what. All amounts are integer nano-dollars (docs/promises.md, Money)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from completions_mw.core.ports.usage import UsageQuery, UsageRow

THRESHOLDS: Final = (50, 80, 100)
"""Per cent of a budget at which the operator's hook is called."""


class Account(NamedTuple):
    """A budget in one of its periods, to which a request is charged."""

    scope: str
    """`key`, `caller` or `tenant`."""
    name: str
    period: str
    """As `2026-11` or `total`."""
    limit: int


class Tokens(NamedTuple):
    """What a request used. `cached` is a part of `prompt`, and `reasoning` of `completion`."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0


class Entry(NamedTuple):
    """What is known of a request when it begins."""

    request_id: str
    scope: str
    """`key`, `caller`, or `app` for the host app itself."""
    key: str
    """The id of the key or of the hook's caller; empty for the app."""
    tenant: str
    model: str
    stream: bool
    started_ms: int
    """Milliseconds since the epoch."""


class Outcome(NamedTuple):
    """What became of a request."""

    status: int
    code: str | None
    """Of the error, if it ended with one."""
    target: str | None
    """`provider/model`."""
    finish_reason: str | None
    tokens: Tokens
    cost: int
    estimated: bool
    """Whether the tokens are our estimate because the provider reported none."""
    first_ms: int | None
    """Milliseconds until the first event of a stream."""
    total_ms: int


class Refusal(NamedTuple):
    """A reservation that does not fit."""

    account: Account
    spent: int
    reserved: int
    first: bool
    """Whether it is the first refusal of this period under this limit, before any settlement told of 100 per cent: told once."""


class BudgetChange(NamedTuple):
    """What a settlement did to a budget."""

    scope: str
    name: str
    period: str
    limit: int
    spent: int
    """With the settlement."""
    crossed: tuple[int, ...]
    """The thresholds that this settlement is the first to reach."""


class Balance(NamedTuple):
    """How a budget stands."""

    scope: str
    name: str
    period: str
    limit: int
    """As of the last reservation; this and what follows in nano-dollars."""
    spent: int
    reserved: int

    @property
    def limit_usd(self) -> Decimal:
        return Decimal(self.limit).scaleb(-9)

    @property
    def spent_usd(self) -> Decimal:
        return Decimal(self.spent).scaleb(-9)

    @property
    def reserved_usd(self) -> Decimal:
        """What requests that are under way may still cost."""
        return Decimal(self.reserved).scaleb(-9)


class Ledger(Protocol):
    """The truth about money, and one row for each request (docs/promises.md). Each method is one transaction, idempotent by request id."""

    async def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        """Hold `amount` in all accounts, or in none of them; None says that it is held.

        Expired reservations are reaped before a refusal. A request id that holds a reservation already keeps it.

        Args:
            entry: the request.
            amount: nano-dollars that it may cost at most.
            accounts: one or two, each with the limit of now.
            ttl_ms: after which the reservation counts as lost with its worker, unless it is renewed.
        """
        ...

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        """Note what a stream has cost so far: what is charged if its worker dies now. Never lowers it."""
        ...

    async def settle(self, entry: Entry, outcome: Outcome) -> list[BudgetChange]:
        """Post what a request cost, once: release its reservation, if it has one, charge the accounts of the reservation, keep the row.

        A request that was settled already is not touched. One that was reaped is corrected upward, if it cost more than its checkpoint;
        the difference is kept as its adjustment.
        """
        ...

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        """Extend reservations; one that was reaped, as after a jump of the clock, is taken anew where there is room.

        What is settled is left alone.

        Returns:
            The requests that lost their reservation for good.
        """
        ...

    async def reap(self) -> int:
        """Post expired reservations at their checkpoints; return how many."""
        ...

    async def prune(self, before_ms: int) -> bool:
        """Forget some of the requests that started before a time and are settled or reaped; tell whether there may be more.

        Budgets of periods that ended before it go after them.
        """
        ...

    async def balances(self, scope: str, name: str) -> list[Balance]:
        """Return the budgets of a key, caller or tenant, in all periods that are kept, the newest period first."""
        ...

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        """Return sums over the rows of requests."""
        ...

    async def aclose(self) -> None: ...
