"""Who gets in: counters of requests and tokens, and leases of places, shared by all who serve the same callers.

The failures of a store are exceptions of `core.ports.failures`; its policy is not its own business.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Window(NamedTuple):
    """A limit on requests or tokens, and what a request asks of it. The window starts with the first request that is charged to it."""

    bucket: str
    """Whose limit of what; the same text is the same counter. May hold any character."""
    limit: int
    seconds: int
    cost: int
    refundable: bool
    """Whether the cost is a reservation that `finish` corrects (tokens), or final (requests)."""
    reducible: int = 0
    """How much of the cost may be left out where less than the limit is to be had: what we assume, and the request does not ask for."""


class Lease(NamedTuple):
    """A limit on how many requests run at the same time."""

    bucket: str
    limit: int


class LimitState(NamedTuple):
    """How a limit stands."""

    used: int
    """Of a window, with the cost of the request if it was admitted; of a lease, how many others hold."""
    reset_ms: int
    """Milliseconds until the window ends, and with it all that was used; 0 where nothing was used, and for leases."""


class Admission(NamedTuple):
    """The verdict on a request. If it is not admitted, nothing was charged anywhere."""

    admitted: bool
    windows: tuple[LimitState, ...]
    """In the order in which they were asked for."""
    leases: tuple[LimitState, ...]


class AdmissionStore(Protocol):
    """Counters and leases (docs/promises.md, Limits). Each method is one atomic step; limits are below 2**53."""

    async def admit(self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], lease_ms: int) -> Admission:
        """Charge all windows and grant all leases, or none of them.

        Asked again with a request id that was admitted and is not finished, it charges nothing and gives the same verdict. One that was
        finished a moment ago is refused: a late copy of the call must not charge anybody.

        Args:
            request_id: whom the charges and leases belong to.
            windows: the limits on requests and tokens, no bucket twice.
            leases: the limits on concurrency, no bucket twice.
            lease_ms: for how long the leases hold unless they are renewed.
        """
        ...

    async def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int) -> list[str]:
        """Extend the leases of requests, by their ids; one that expired, or that the store forgot, is taken anew where there is room.

        What was finished a moment ago is left alone.

        Args:
            holds: for each request the leases that it was admitted with.
            lease_ms: for how long the leases hold now.

        Returns:
            The requests that lost a lease for good.
        """
        ...

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """Give back what a request holds. May be called twice, and for what is unknown.

        Its leases end. The tokens that it reserved and did not use come back, in windows that are still the ones that were charged;
        tokens beyond the reservation are charged to those.

        Args:
            request_id: as admitted.
            tokens: what was used; None to leave the reservation charged.
        """
        ...

    async def aclose(self) -> None: ...
