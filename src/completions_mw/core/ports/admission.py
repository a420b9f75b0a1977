"""The port of admission stores: counters of requests and tokens, and leases, shared by all processes of a deployment.

Stores raise `core.ports.failures`. `core.limits.guarded_store` decides what happens to requests then.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Window(NamedTuple):
    """A limit on requests or tokens, and the cost of a request. The window starts with the first request that is charged to it."""

    bucket: str
    """Name of the counter, made of its owner and what it counts. May hold any character."""
    limit: int
    """Number of requests or tokens in one window."""
    seconds: int
    """Length of the window."""
    cost: int
    """Number of requests or tokens that the request is charged."""
    refundable: bool
    """Whether the cost is a reservation that `finish` corrects (tokens), or final (requests)."""
    reducible: int = 0
    """Part of the cost that a local share of the limit may leave out: the default maximum of tokens, which the request did not set."""


class Lease(NamedTuple):
    """A limit on concurrent requests, of which a request holds one lease while it runs."""

    bucket: str
    """Name of the limit. May hold any character."""
    limit: int
    """Number of leases that may be held at the same time."""


class LimitState(NamedTuple):
    """Use of a limit."""

    used: int
    """For a window, what is charged, with the request's own cost if it was admitted; for a lease, the number that other requests hold."""
    reset_ms: int
    """Milliseconds until the window ends; 0 for an unused window, and for leases."""


class Admission(NamedTuple):
    """Answer of an admission store to a request. If the request is not admitted, nothing is charged."""

    admitted: bool
    windows: tuple[LimitState, ...]
    """State of each window, in the order of the call."""
    leases: tuple[LimitState, ...]
    """State of each lease, in the order of the call."""


class AdmissionStore(Protocol):
    """Counters and leases (docs/promises.md, Limits). Each method is one atomic step; limits are below 2**53."""

    async def admit(self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], lease_ms: int) -> Admission:
        """Charge all windows and grant all leases, or none of them.

        A second call for an admitted request charges nothing and returns the same answer. A call for a request that was finished a moment
        ago is refused, so that a late copy of a call charges nothing.

        Args:
            request_id: id of the request, to which charges and leases belong.
            windows: limits on requests and tokens, no bucket twice.
            leases: limits on concurrency, no bucket twice.
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
