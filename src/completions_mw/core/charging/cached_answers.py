"""Answers of the cache, and what they are charged: a request that another one's call answers pays no tokens and no money."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from pydantic_core import from_json

from completions_mw.core.cache.cache import CacheStatus, ResponseCache
from completions_mw.core.cache.call import LeadingCall
from completions_mw.core.cache.directives import CacheControl
from completions_mw.core.cache.known import KnownRequest
from completions_mw.core.cache.policy import CachePlan
from completions_mw.core.cache.reader import FlightReader, FollowerEnd, Watch
from completions_mw.core.cache.single_flight import LeaderConnection
from completions_mw.core.charging.charge import Charge
from completions_mw.core.charging.charges import Charges
from completions_mw.core.context import RequestContext
from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import StoredAnswer
from completions_mw.core.streaming.chunks import ChunkStream
from completions_mw.core.telemetry.observer import Observer
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.errors import NotCachedError
from completions_mw.http import ClientConnection
from completions_mw.providers.base import Completion

Ask = Callable[[ValidRequest, ClientConnection | None], Awaitable[Completion | ChunkStream]]
"""Asks the targets for an answer. Settles the request, unless the answer is a stream, which settles it at its end."""
End = Callable[[RequestContext, BaseException | None], None]
"""Reports the end of a request."""
_DATA: Final = len(b"data: ")


class CachedAnswers:
    """Answers requests from the cache, or by one call for all that ask the same, and charges each of them.

    Args:
        cache: the cache.
        charges: admits, reserves and settles.
        observer: observer of each step.
        end: reports the end of a streamed answer.
    """

    def __init__(self, cache: ResponseCache, charges: Charges, observer: Observer, end: End) -> None:
        self._cache = cache
        self._charges = charges
        self._end = end
        self._admit = {False: observer.around("admit", charges.admit), True: observer.around("admit", charges.reserve)}
        """What comes before the look-up, by whether hits are charged: then tokens and money are reserved too."""
        self._reserve = observer.around("reserve", charges.reserve)
        self._look_up = observer.around("cache", self._look_up_answer)
        near = cache.near
        self._recall = None if near is None else observer.around("cache", lambda _, key: near.get(key))
        self._settle = observer.around("settle", charges.settle)

    def plan(
        self, context: RequestContext, request: ValidRequest, caller: Caller | None, charge: Charge | None, control: CacheControl
    ) -> CachePlan | None:
        """Return what the cache may do for a request, None if the request goes past the cache; that is noted and counted."""
        if request.model not in self._cache.policies:
            return None
        plan = self.foresee(request, caller, charge, control)
        if plan is None:
            self._note(context, "bypass")
        return plan

    def foresee(
        self, request: ValidRequest | KnownRequest, caller: Caller | None, charge: Charge | None, control: CacheControl
    ) -> CachePlan | None:
        """Return what the cache may do for a request, as `plan` does, and leave no trace."""
        policy = self._cache.policies.get(request.model)
        if policy is None:
            return None
        cap = charge.estimate.per_choice if charge is not None and charge.is_priced and request.max_tokens is None else None
        return policy.plan(request, caller, control, cap)

    async def recall(self, context: RequestContext, charge: Charge | None, plan: CachePlan | None) -> StoredAnswer | None:
        """Return the answer to a known request that the memory of this process has, charged as `answer` does; None leaves no trace.

        Raises:
            GatewayError: the request was refused.
        """
        if self._recall is None or plan is None or plan.control.no_cache:
            return None
        found = await self._recall(context, plan.key)
        if found is None or not plan.accepts(found):
            return None
        if charge is not None:
            await self._admit[plan.policy.charge_hits](context, charge)
        self._note(context, "hit", ("age", str(found.age_ms // 1000)))
        context.target = found.answer.target
        if charge is not None:
            await self._settle_served(context, charge, plan, found.answer)
        return found.answer

    async def answer(
        self,
        context: RequestContext,
        request: ValidRequest,
        charge: Charge | None,
        plan: CachePlan,
        ask: Ask,
        connection: ClientConnection | None,
        watch: Watch,
    ) -> StoredAnswer | FlightReader:
        """Return a stored answer, or the answer of a call that is shared.

        Args:
            context: request context; its `cache` and response headers are set.
            request: the request.
            charge: charge of the request; None where requests are not counted.
            plan: what the cache may do for the request.
            ask: asks the targets.
            connection: connection of the client.
            watch: ends a stream whose client stays away.

        Raises:
            GatewayError: the request was refused, or the call failed.
        """
        if charge is not None:
            await self._admit[plan.policy.charge_hits](context, charge)
        try:
            found = await self._look_up(context, request, plan)
        except BaseException as error:
            await self._settle_failed(context, charge, error)
            raise
        if found is None:
            leader = None if connection is None else LeaderConnection(connection)
            return await self._share(context, request, charge, plan, ask, leader, watch)
        await self._settle_served(context, charge, plan, found)
        return found

    async def _share(
        self,
        context: RequestContext,
        request: ValidRequest,
        charge: Charge | None,
        plan: CachePlan,
        ask: Ask,
        connection: LeaderConnection | None,
        watch: Watch,
    ) -> StoredAnswer | FlightReader:
        """Answer a request by the call of an identical one, or by its own."""
        reserve = _reserve_nothing if charge is None or plan.policy.charge_hits else partial(self._reserve, context, charge)
        call = LeadingCall(
            self._cache.register, plan, context, request, reserve, partial(ask, request.without_usage(), connection), connection
        )
        try:
            on_end = partial(self._end_follower, context, charge, plan, call)
            shared = await self._cache.share(plan, request, call, on_end, connection, watch)
        except BaseException as error:
            await self._give_up(context, charge, call, error)
            if isinstance(error, Exception):
                self._note_call(context, is_own=call.has_asked)
            raise
        self._note_call(context, is_own=shared.is_own)
        if isinstance(shared.answer, StoredAnswer) and not shared.is_own:
            await self._settle_served(context, charge, plan, shared.answer)
        return shared.answer

    async def _look_up_answer(self, context: RequestContext, request: ValidRequest, plan: CachePlan) -> StoredAnswer | None:
        found, status = await self._cache.look_up(plan)
        if found is not None:
            self._note(context, "hit", ("age", str(found.age_ms // 1000)))
            return found.answer
        similar = await self._cache.look_up_similar(context, request, plan)
        if similar is not None:
            self._note(context, "hit")
            return similar
        if plan.control.only_if_cached:
            self._note(context, status)
            raise NotCachedError
        context.cache = status
        return None

    def _note_call(self, context: RequestContext, *, is_own: bool) -> None:
        """Note that a request was answered, or failed, by its own call or by another one's."""
        is_past = is_own and context.cache == "bypass"
        self._note(context, "bypass" if is_past else "miss" if is_own else "coalesced")

    def _note(self, context: RequestContext, status: CacheStatus, *headers: tuple[str, str]) -> None:
        context.cache = status
        context.headers = (*context.headers, ("x-cache", status), *headers)
        self._cache.count(status)

    async def _settle_served(self, context: RequestContext, charge: Charge | None, plan: CachePlan, answer: StoredAnswer) -> None:
        """Settle a request that a stored answer has answered."""
        context.target = answer.target
        if charge is not None:
            await self._settle_free(context, charge, plan, from_json(answer.usage[_DATA:])["usage"])

    async def _settle_free(self, context: RequestContext, charge: Charge, plan: CachePlan, usage: dict[str, Any]) -> None:
        """Settle a request that another one's call has answered."""
        if plan.policy.charge_hits:
            await self._settle(context, charge, usage, None)
        else:
            context.saved = usage
            await self._settle(context, charge, None, None)

    async def _settle_failed(self, context: RequestContext, charge: Charge | None, error: BaseException | None) -> None:
        """Settle a request without an answer."""
        if charge is not None:
            await self._settle(context, charge, None, error)

    async def _end_follower(
        self, context: RequestContext, charge: Charge | None, plan: CachePlan, call: LeadingCall, end: FollowerEnd
    ) -> None:
        """Record the end of a stream that another request's call has given."""
        self._end(context, end.error)
        if charge is not None and end.usage is not None:
            context.target = end.target
            await self._settle_free(context, charge, plan, end.usage)
        else:
            await self._give_up(context, charge, call, end.error)

    async def _give_up(self, context: RequestContext, charge: Charge | None, call: LeadingCall, error: BaseException | None) -> None:
        """Settle a request without an answer, unless its own call does so."""
        call.is_withdrawn = True
        if not call.has_asked:
            await self._settle_failed(context, charge, error)


async def _reserve_nothing() -> None: ...
