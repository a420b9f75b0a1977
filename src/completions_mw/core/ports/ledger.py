"""The port of ledgers: reservations, settlements and budgets. All amounts are integer nano-dollars (docs/promises.md, Money)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from completions_mw.core.ports.usage import UsageQuery, UsageRow

THRESHOLDS: Final = (50, 80, 100)
"""Percentages of a budget at which the operator's hook is called."""


class Account(NamedTuple):
    """A budget in one of its periods, to which requests are charged."""

    scope: str
    """Kind of the budget's owner: `key`, `caller` or `tenant`."""
    name: str
    """Id of the budget's owner."""
    period: str
    """Name of the period, as `2026-11` or `total`."""
    limit: int
    """Nano-dollars of the budget."""


class Tokens(NamedTuple):
    """Tokens that a request used. `cached` and `cache_write` are parts of `prompt`, and `reasoning` is a part of `completion`."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0
    """Prompt tokens that the provider has put into its cache. They are in the cost, and no column of the ledger."""

    @property
    def columns(self) -> tuple[int, int, int, int]:
        """The counts that the ledger keeps."""
        return self[:4]


class Entry(NamedTuple):
    """A request's row in the ledger, as far as it is known when the request begins."""

    request_id: str
    scope: str
    """Kind of the caller: `key`, `caller`, or `app` for the host app itself."""
    key: str
    """Id of the key or of the hook's caller; empty for the host app itself."""
    tenant: str
    """Tenant of the caller; empty for none."""
    model: str
    """Model name that the client asked for."""
    stream: bool
    started_ms: int
    """Time of arrival, in milliseconds since the epoch."""

    @property
    def caller(self) -> str:
        """Kind and id of the caller, who may have a share of the places that wait; empty for the host app itself."""
        return f"{self.scope}:{self.key}" if self.key else ""


class Outcome(NamedTuple):
    """Outcome of a request that has ended."""

    status: int
    """HTTP status of the response; 499 for a client that left."""
    code: str | None
    """Code of the error with which the request ended; None for a complete answer, or an error without a code."""
    target: str | None
    """`provider/model` of the target that was asked last."""
    finish_reason: str | None
    tokens: Tokens
    """Tokens that the request is charged for."""
    cost: int
    """Nano-dollars that the request is charged."""
    estimated: bool
    """Whether `tokens` is an estimate, because the provider reported none."""
    first_ms: int | None
    """Milliseconds from the request's arrival to the first event of a stream."""
    total_ms: int
    """Milliseconds from the request's arrival to its end."""
    from_cache: bool = False
    """Whether the answer came from the response cache, or from the call of an identical request."""
    saved: int = 0
    """Nano-dollars that the answer would have cost, if it came from the cache and is not charged."""


class Settlement(NamedTuple):
    """A request that has ended, and its outcome."""

    entry: Entry
    outcome: Outcome
    accounts: tuple[Account, ...] = ()
    """Budgets in which the request has reserved money."""


class Refusal(NamedTuple):
    """Refusal of a reservation by the budget that it does not fit into."""

    account: Account
    """The budget that refuses."""
    spent: int
    """Nano-dollars spent in the period."""
    reserved: int
    """Nano-dollars reserved for other requests."""
    first: bool
    """Whether the operator is to be alerted: the first refusal in this period under this limit, unless 100 per cent was reached before."""


class BudgetChange(NamedTuple):
    """Change of a budget by a settlement."""

    scope: str
    """Kind of the budget's owner: `key`, `caller` or `tenant`."""
    name: str
    """Id of the budget's owner."""
    period: str
    """Name of the period, as `2026-11` or `total`."""
    limit: int
    """Nano-dollars of the budget."""
    spent: int
    """Nano-dollars spent in the period, with the settlement."""
    crossed: tuple[int, ...]
    """Percentages of `THRESHOLDS` that this settlement is the first to reach."""


class Balance(NamedTuple):
    """State of a budget in one period."""

    scope: str
    """Kind of the budget's owner: `key`, `caller` or `tenant`."""
    name: str
    """Id of the budget's owner."""
    period: str
    """Name of the period, as `2026-11` or `total`."""
    limit: int
    """Nano-dollars of the budget, as of the last reservation."""
    spent: int
    """Nano-dollars spent in the period."""
    reserved: int
    """Nano-dollars reserved for running requests."""

    @property
    def limit_usd(self) -> Decimal:
        """USD of the budget, as of the last reservation."""
        return Decimal(self.limit).scaleb(-9)

    @property
    def spent_usd(self) -> Decimal:
        """USD spent in the period."""
        return Decimal(self.spent).scaleb(-9)

    @property
    def reserved_usd(self) -> Decimal:
        """USD reserved for running requests, which they may cost at most."""
        return Decimal(self.reserved).scaleb(-9)


class Ledger(Protocol):
    """Keeps the balances of budgets, and one row for each request (docs/promises.md, Money).

    Each method is one transaction, idempotent by request id, and raises `StoreError` if it fails.
    """

    async def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        """Reserve `amount` in all accounts, or in none of them and return the refusal.

        Expired reservations are reaped before a refusal. A request that has a reservation already keeps it.

        Args:
            entry: the request.
            amount: maximum cost of the request in nano-dollars.
            accounts: one or two budgets, each with its current limit.
            ttl_ms: milliseconds until the reservation expires unless it is renewed.

        Returns:
            None if the money is reserved, else the refusal.
        """
        ...

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        """Note the cost of a stream so far, which is charged if its worker dies. A lower amount than before is ignored."""
        ...

    async def settle(self, entry: Entry, outcome: Outcome, accounts: Sequence[Account] = ()) -> list[BudgetChange]:
        """Post the cost of a request once: release its reservation, charge the reservation's accounts, and keep its row.

        A request that was settled already is not changed. A request that was reaped is corrected upward if it cost more than its
        checkpoint; the difference is kept as the row's adjustment.

        Args:
            entry: the request.
            outcome: its outcome.
            accounts: budgets in which it has reserved money. They are charged if there is no row of it, as in a ledger that was restored
                from a backup meanwhile.

        Returns:
            The change of each budget that was charged.
        """
        ...

    async def adopt(self, settlement: Settlement, lease_ms: int) -> list[BudgetChange] | None:
        """Post a settlement that a process has left in its spool when it died, unless its request still runs.

        Args:
            settlement: the settlement.
            lease_ms: milliseconds for which reservations are renewed. One that was renewed less than half of them ago belongs to a request
                that still runs.

        Returns:
            The change of each budget that was charged; None if the request still runs.
        """
        ...

    async def record(self, settlements: Sequence[Settlement]) -> list[BudgetChange]:
        """Settle several requests in one transaction, all of them or none.

        Returns:
            The change of each budget that was charged.
        """
        ...

    async def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        """Extend reservations. One that was reaped, as after a jump of the clock, is made anew if it fits into its budgets.

        Settled requests are ignored.

        Args:
            request_ids: ids of running requests, and of spooled settlements.
            ttl_ms: milliseconds until the reservations expire.

        Returns:
            The ids of requests that lost their reservation for good.
        """
        ...

    async def reap(self) -> int:
        """Post expired reservations at the amount of their last checkpoint; return their number."""
        ...

    async def prune(self, before_ms: int) -> bool:
        """Delete some rows of settled or reaped requests that are old, then balances of old periods; return whether there may be more.

        Args:
            before_ms: rows of requests that started before, and periods that ended before, in milliseconds since the epoch.
        """
        ...

    async def balances(self, scope: str, name: str) -> list[Balance]:
        """Return the budgets of a key, caller or tenant in all periods that are kept, the newest first."""
        ...

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        """Return sums over the rows of requests that have ended."""
        ...

    async def aclose(self) -> None: ...
