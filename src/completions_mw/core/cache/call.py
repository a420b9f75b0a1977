"""The call of a flight: asks the upstream, or waits for another process that asks it, and stores the answer."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from completions_mw.core.cache.flight import OwnFailureError
from completions_mw.core.cache.policy import CachePlan
from completions_mw.core.cache.recording import streamed_answer, whole_answer
from completions_mw.core.cache.register import CallRegister
from completions_mw.core.context import RequestContext
from completions_mw.core.ports import Claim, StoredAnswer
from completions_mw.core.streaming.chunks import ChunkStream
from completions_mw.core.validation.request import Chat
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.errors import ClientDisconnectedError
from completions_mw.http import ClientConnection
from completions_mw.providers.base import Completion
from completions_mw.sse import Event

POLL_SECONDS: Final = (0.005, 0.01, 0.02, 0.05)
"""Seconds between the first questions whether another process has an answer; the last one is repeated."""


class LeadingCall:
    """The call that a request makes if it begins a flight.

    Args:
        register: takes turns with other processes, and stores the answer.
        plan: plan of the request.
        context: context of the request.
        request: the request.
        reserve: reserves tokens and money; its failure is the request's own.
        ask: asks the targets, and settles the request if it fails or the answer is whole.
        connection: connection of the client; gone only if nobody else waits for the answer.
    """

    def __init__(
        self,
        register: CallRegister,
        plan: CachePlan,
        context: RequestContext,
        request: ValidRequest,
        reserve: Callable[[], Awaitable[None]],
        ask: Callable[[], Awaitable[Completion | ChunkStream]],
        connection: ClientConnection | None,
    ) -> None:
        self._register = register
        self._plan = plan
        self._context = context
        self._request = request
        self._reserve = reserve
        self._ask = ask
        self._connection = connection
        self._owner = ""
        """Owner of the lease that other processes wait for; empty if there is none."""
        self.has_asked = False
        """Whether the call settles the request."""
        self.is_withdrawn = False
        """Whether the request has ended before the call has asked a target."""
        self._found: StoredAnswer | None = None

    @property
    def was_found(self) -> bool:
        """Whether another process has given the answer."""
        return self._found is not None

    @property
    def has_deadline(self) -> bool:
        """Whether the client wants its answer by a time of its own, so that the call may fail where those of others do not."""
        return self._context.deadline is not None

    @property
    def target(self) -> str:
        return self._found.target if self._found is not None else self._context.target or ""

    async def open(self) -> StoredAnswer | ChunkStream:
        claim = await self._claim()
        if claim.found is not None:
            self._found = claim.found.answer
            return self._found
        if self.is_withdrawn:
            raise OwnFailureError(ClientDisconnectedError())
        self.has_asked = True
        try:
            await self._reserve()
        except Exception as error:
            raise OwnFailureError(error) from error
        answer = await self._ask()
        if isinstance(answer, ChunkStream):
            return answer
        stored = whole_answer(answer, self._request, self.target)
        await self._finish(stored, [choice.get("finish_reason") for choice in answer.data.get("choices", ())])
        return stored

    async def completed(self, events: list[Event], usage: Event) -> StoredAnswer | None:
        assert isinstance(self._request, Chat)
        try:
            stored = streamed_answer(events, usage, self._request, self.target) if events else None
        except (TypeError, KeyError, ValueError, AttributeError):
            # Chunks of an upstream that cannot be added up are streamed as they are, and not stored.
            stored = None
        reasons = [choice["finish_reason"] for event in events for choice in event.data["choices"] if choice["finish_reason"]]
        await self._finish(stored, reasons)
        return stored

    async def failed(self) -> None:
        if self._owner:
            await self._register.give_back(self._plan, self._owner, is_shareable=True)

    def abandon(self) -> None:
        if self._owner:
            self._register.let_expire(self._plan)

    async def _claim(self) -> Claim:
        """Wait until this process may ask the upstream, or another one has stored the answer; in the end this process asks it too."""
        if self.has_deadline:
            return Claim(is_granted=True)
        owner, now = secrets.token_hex(8), self._context.clock.monotonic
        claim = await self._register.claim(self._plan, owner)
        polls, until = 0, now() + self._register.max_wait
        while claim.found is None and not claim.is_granted and not self.is_withdrawn:
            if self._connection is not None and self._connection.is_gone():
                raise OwnFailureError(ClientDisconnectedError())
            if now() >= until:
                return Claim(is_granted=True)
            await self._register.pause(POLL_SECONDS[min(polls, len(POLL_SECONDS) - 1)])
            polls += 1
            claim = await self._register.claim(self._plan, owner)
        if claim.is_leased:
            self._owner = owner
        return claim

    async def _finish(self, answer: StoredAnswer | None, reasons: list[str]) -> None:
        policy = self._plan.policy
        is_stored = answer is not None and answer.size <= policy.max_bytes and policy.stores(reasons, self._request.n)
        if is_stored and answer is not None:
            await self._register.store(self._context, self._request, self._plan, answer)
        if self._owner:
            await self._register.give_back(self._plan, self._owner, is_shareable=is_stored)
