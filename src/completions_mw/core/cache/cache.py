"""The response cache, as the pipeline uses it."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Final, Literal, NamedTuple

from completions_mw.core.cache.call import LeadingCall
from completions_mw.core.cache.flight import Flight, OwnFailureError
from completions_mw.core.cache.guarded_store import GuardedResponses
from completions_mw.core.cache.known import KnownBodies
from completions_mw.core.cache.policy import CachePlan, CachePolicy
from completions_mw.core.cache.reader import FlightReader, OnEnd, Watch
from completions_mw.core.cache.register import CallRegister
from completions_mw.core.cache.scopes import Sharing, labels_named
from completions_mw.core.cache.semantic import GuardedSemanticCache, SemanticCache
from completions_mw.core.cache.single_flight import LeaderConnection, Seat, SingleFlight
from completions_mw.core.context import RequestContext
from completions_mw.core.ports import Background, Clock, Flights, FoundAnswer, PurgeFilter, StoredAnswer
from completions_mw.core.validation.request import Chat
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.errors import ClientDisconnectedError
from completions_mw.settings import CacheSettings

CacheStatus = Literal["hit", "miss", "coalesced", "bypass"]
"""Value of the response header `x-cache`."""
WATCH_SECONDS: Final = 1.0
"""Seconds between two looks at the connection of a client that waits for the call of another one in a thread."""
WHOLE: Final = b"whole"
"""What the key of a flight ends with that no stream begins."""


class CacheStats(NamedTuple):
    """How requests were answered since the process started, and what the store holds."""

    hits: int
    """Requests that were answered from the store."""
    misses: int
    """Requests that called the upstream."""
    coalesced: int
    """Requests that were answered by the call of an identical one."""
    bypassed: int
    """Requests that went past the cache."""
    calls: int
    """Calls that are under way in this process, and can be joined."""
    waiting: int
    """Requests in this process that get the answers of these calls, with those that have made them."""
    entries: int
    """Number of stored answers. A store in memory counts expired ones until their space is needed."""
    bytes: int
    """Bytes that the stored answers take."""

    @property
    def hit_rate(self) -> float:
        """Part of the requests that called no upstream, from 0 to 1, of those that did not go past the cache."""
        free = self.hits + self.coalesced
        return free / (free + self.misses) if free else 0.0


class Shared(NamedTuple):
    """Answer to a request that was not answered from the store."""

    answer: StoredAnswer | FlightReader
    is_own: bool
    """Whether the request has called the upstream itself, so that it is charged."""


class ResponseCache:
    """Answers identical requests with one call of an upstream: those at the same time, and later ones from a store.

    Args:
        policies: caching policy of each model whose answers are cached.
        store: the store.
        flights: the port by which requests wait for each other.
        background: renews leases.
        clock: time.
        settings: bounds of waiting requests, and the lifetime of leases.
        keep_alive: seconds of silence after which a stream gets a keep-alive; 0 for never.
        semantic: cache of the host app for similar requests; None if there is none.
    """

    def __init__(
        self,
        policies: Mapping[str, CachePolicy],
        store: GuardedResponses,
        flights: Flights,
        background: Background,
        clock: Clock,
        settings: CacheSettings,
        keep_alive: float,
        semantic: SemanticCache | None = None,
    ) -> None:
        self.policies = dict(policies)
        """Caching policy of each model whose answers are cached."""
        self._store = store
        self._flights = flights
        self._single_flight = SingleFlight(flights, settings.max_followers)
        self._clock = clock
        self._max_wait = settings.max_wait
        self._keep_alive = keep_alive or None
        self._semantic = None if semantic is None else GuardedSemanticCache(semantic)
        self.register = CallRegister(store, flights, background, self._semantic, settings)
        """What calls of upstreams need of the cache."""
        self.counts: Counter[CacheStatus] = Counter()
        """Number of requests by how they were answered, since the process started."""
        self.near = store.near
        """The answers in the memory of this process; None where there are none."""
        sharing: Sharing = "key" if any(policy.sharing == "key" for policy in policies.values()) else "tenant"
        self.known_bodies = None if store.near is None else KnownBodies(flights, sharing)
        """Bodies that were answered from the store; None where no answer is in memory, so that none would be found."""

    async def look_up(self, plan: CachePlan) -> tuple[FoundAnswer | None, CacheStatus]:
        """Return the stored answer to a request, None if there is none that the client accepts, and the status of the look-up."""
        if plan.control.no_cache:
            return None, "miss"
        found, was_asked = await self._store.get(plan.key)
        if found is None:
            return None, "miss" if was_asked else "bypass"
        return (found, "hit") if plan.accepts(found) else (None, "miss")

    def count(self, status: CacheStatus) -> None:
        """Count a request by how it was answered."""
        with self._flights.lock:
            self.counts[status] += 1

    async def share(
        self, plan: CachePlan, request: ValidRequest, call: LeadingCall, on_end: OnEnd, connection: LeaderConnection | None, watch: Watch
    ) -> Shared:
        """Answer a request by the call of an identical one, or by its own, which others then share.

        Args:
            plan: plan of the request.
            request: the request.
            call: the call that the request makes if there is none to share.
            on_end: told of the end of a stream that another request's call gives.
            connection: connection of the client that the call watches.
            watch: ends a stream whose client stays away.

        Raises:
            GatewayError: the call failed.
        """
        await self._single_flight.settle_dropped()
        deadline = self._clock.monotonic() + self._max_wait
        # A new answer was asked for, and a flight may have begun long before; or a sooner one than others want.
        alone = plan.control.no_cache or call.has_deadline
        key = plan.key.digest
        while True:
            seat = self._single_flight.board(key, lambda: call, plan.policy.max_bytes, alone=alone)
            flight, shared = seat.flight, None
            if seat.is_leader and connection is not None:
                connection.flight = flight
            try:
                has_begun = await self._wait(flight.begin, inf if seat.is_leader else deadline, connection)
                if has_begun and not request.stream:
                    await self._wait(flight.whole, inf, connection)
                if flight.error is not None:
                    if seat.is_leader or not may_begin_anew(flight):
                        raise flight.failure()
                elif not has_begun:
                    # The wait was too long.
                    alone = True
                elif (shared := self._shared(seat, request, call, on_end, watch)) is not None:
                    return shared
                else:
                    # The stream was too large to be kept: all who want it whole share another call.
                    key, alone = key + WHOLE, False
            finally:
                if shared is None or isinstance(shared.answer, StoredAnswer):
                    await self._single_flight.leave(seat)

    def _shared(self, seat: Seat, request: ValidRequest, call: LeadingCall, on_end: OnEnd, watch: Watch) -> Shared | None:
        """Return what a request gets of a flight that has begun: a reader, which gives up the seat at its end, or the whole answer.

        None for a whole answer that was too large to be kept.
        """
        answer, is_own = seat.flight.answer, seat.is_leader and not call.was_found
        if answer is not None and not (request.stream and seat.flight.is_stream):
            return Shared(answer, is_own)
        if not request.stream:
            return None
        reader = FlightReader(
            seat,
            self._single_flight,
            include_usage=request.include_usage,
            keep_alive=self._keep_alive,
            on_end=None if is_own else on_end,
            watch=watch,
        )
        return Shared(reader, is_own)

    async def _wait(self, wait: Callable[[float | None], Awaitable[bool]], deadline: float, connection: LeaderConnection | None) -> bool:
        """Wait for a flight by one of its methods until a deadline; return whether what was waited for has come.

        Raises:
            ClientDisconnectedError: the client has left, and nobody is to be woken by that. Without a connection the task is cancelled.
        """
        while True:
            left = deadline - self._clock.monotonic()
            seconds = left if connection is None else min(left, WATCH_SECONDS)
            if await wait(None if seconds == inf else max(0.0, seconds)):
                return True
            if connection is not None and connection.is_gone():
                raise ClientDisconnectedError
            if left <= 0:
                return False

    async def purge(self, *, tenant: str | None, key: str | None, caller: str | None, model: str | None) -> int:
        """Remove the answers of scopes with these names and of a model, and return how many were removed.

        Raises:
            StoreError: the store does not answer.
        """
        return await self._store.purge(PurgeFilter(labels_named(tenant=tenant, key=key, caller=caller), model))

    async def stats(self) -> CacheStats:
        """Return how requests were answered, and what the store holds.

        Raises:
            StoreError: the store does not answer.
        """
        counts, (calls, waiting) = self.counts, self._single_flight.requests()
        numbers = (counts["hit"], counts["miss"], counts["coalesced"], counts["bypass"])
        return CacheStats(*numbers, calls, waiting, *await self._store.contents())

    async def look_up_similar(self, context: RequestContext, request: ValidRequest, plan: CachePlan) -> StoredAnswer | None:
        """Return the answer to a similar request, if the host app finds one."""
        if self._semantic is None or not isinstance(request, Chat):
            return None
        return await self._semantic.lookup(context, request, plan)


def may_begin_anew(flight: Flight) -> bool:
    """Return whether a request that waited for a failed flight may begin it anew: its leader has failed, and not the upstream."""
    error = flight.error
    return isinstance(error, OwnFailureError | ClientDisconnectedError) or not isinstance(error, Exception)
