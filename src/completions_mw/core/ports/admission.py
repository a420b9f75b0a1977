"""The port of admission stores: counters of requests and tokens, and leases, shared by all processes of a deployment.

Stores raise `core.ports.failures`. `core.limits.guarded_store` decides what happens to requests then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class TokenDemand(Protocol):
    """The tokens that a request asks for."""

    def under(self, limit: int) -> int:
        """Return the tokens that the request reserves under a limit, or under a local share of it."""
        ...


class Window(NamedTuple):
    """A limit on requests or tokens in a window of time, which starts with the first request that is charged to it."""

    bucket: str
    """Name of the counter, made of its owner and what it counts. May hold any character."""
    limit: int
    """Number of requests or tokens in one window."""
    seconds: int
    """Length of the window."""
    counts_tokens: bool
    """Whether tokens are counted, which are a reservation that `finish` corrects, or requests, which stay charged."""

    def cost(self, demand: TokenDemand) -> int:
        """Return the number of requests or tokens that a request is charged."""
        return demand.under(self.limit) if self.counts_tokens else 1


class Lease(NamedTuple):
    """A limit on concurrent requests, of which a request holds one lease while it runs."""

    bucket: str
    """Name of the limit. May hold any character."""
    limit: int
    """Number of leases that may be held at the same time."""


@dataclass(slots=True)
class Admission:
    """Answer of an admission store to a request. If the request is not admitted, nothing is charged."""

    admitted: bool
    used: Sequence[int]
    """For each window in the order of the call, what is charged to it: with the request's own cost, if the request was admitted."""
    reset_ms: Sequence[int]
    """For each window the milliseconds until it ends; 0 where nothing is used."""
    held: Sequence[int]
    """For each lease in the order of the call, the number of other requests that hold one."""


class AdmissionStore(Protocol):
    """Counters and leases (docs/promises.md, Limits). Each method is one atomic step; limits are below 2**53."""

    async def admit(
        self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], demand: TokenDemand, lease_ms: int
    ) -> Admission:
        """Charge all windows and grant all leases, or none of them.

        A second call for an admitted request charges nothing and returns the same answer. A call for a request that was finished a moment
        ago is refused, so that a late copy of a call charges nothing.

        Args:
            request_id: id of the request, to which charges and leases belong.
            windows: limits on requests and tokens, no bucket twice.
            leases: limits on concurrency, no bucket twice.
            demand: tokens that limits on tokens are charged.
            lease_ms: milliseconds until the leases expire unless they are renewed.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int) -> list[str]:
        """Extend the leases of requests. An expired or forgotten lease is granted anew if one is free.

        A request that was finished a moment ago is ignored.

        Args:
            holds: leases of each request, by request id.
            lease_ms: milliseconds until the leases expire.

        Returns:
            The ids of requests that lost a lease for good.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """End the leases of a request, and correct its reserved tokens. May be called twice, and for an unknown request.

        Windows that were charged and have not ended get unused tokens back, and are charged tokens beyond the reservation.

        Args:
            request_id: id with which the request was admitted.
            tokens: number of tokens that were used; None leaves the reservation charged.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def aclose(self) -> None: ...
