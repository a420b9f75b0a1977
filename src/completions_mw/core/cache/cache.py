"""The protocol of a response cache, as the pipeline uses it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from completions_mw.core.context import RequestContext
from completions_mw.core.dispatch.targets import Target
from completions_mw.core.keys.caller import Caller
from completions_mw.core.validation.request import Chat


class Lookup(NamedTuple):
    """Result of a look-up in a cache."""

    targets: Sequence[Target]
    """Targets to dispatch to: one that gives the stored answer, or the model's targets wrapped so that the cache stores their answer."""
    is_hit: bool
    """Whether the answer was stored: it then reserves no tokens and no money."""


class ResponseCache(Protocol):
    """Gives stored answers, and stores new answers by wrapping the targets that give them."""

    def covers(self, chat: Chat, model: str) -> bool:
        """Tell whether answers to a request may be stored. If not, its admission and reservation are one call of the stores."""
        ...

    async def look_up(self, context: RequestContext, chat: Chat, caller: Caller | None, targets: Sequence[Target]) -> Lookup:
        """Return the targets that answer a request. Never raises a store's error: a cache that is down is a miss.

        Args:
            context: request context, to which response headers may be added.
            chat: the request.
            caller: the caller, None for the host app itself; answers are never shared beyond the caller's tenant.
            targets: targets of the model.
        """
        ...
