"""What the pipeline needs of a response cache."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from completions_mw.core.context import RequestContext
from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import EventSource
from completions_mw.core.validation.request import Chat
from completions_mw.http import ClientConnection
from completions_mw.providers.base import Completion


class AnswerSource(Protocol):
    """What can answer: a target of a model, or a stored answer."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def is_local(self) -> bool: ...
    async def complete(self, chat: Chat, connection: ClientConnection | None) -> Completion: ...
    async def open(self, chat: Chat, connection: ClientConnection | None) -> EventSource: ...


class Lookup(NamedTuple):
    """What a cache says of a request."""

    targets: Sequence[AnswerSource]
    """What is asked now: a stored answer, or the model's targets, wrapped so that the cache sees their answer."""
    is_hit: bool
    """Whether the answer was stored: it reserves no tokens and no money."""


class ResponseCache(Protocol):
    """Gives stored answers, and stores new ones by wrapping the targets that give them."""

    def covers(self, chat: Chat, model: str) -> bool:
        """Tell whether answers to such a request may be stored. Admission and reservation are one call of the stores where not."""
        ...

    async def look_up(self, context: RequestContext, chat: Chat, caller: Caller | None, targets: Sequence[AnswerSource]) -> Lookup:
        """Return what answers a request. May add headers of the answer to `context`. Never raises: a cache that is down is a miss.

        Args:
            context: of the request.
            chat: the request.
            caller: who asks: answers are never shared beyond the caller's scope.
            targets: of the model.
        """
        ...
