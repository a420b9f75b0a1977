"""Streams whose clients have left: what their targets still say of the usage."""

from typing import Final

from completions_mw.core.ports import EventSource
from completions_mw.core.streaming.finishing import Finishing
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.core.streaming.rules import StreamRules
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.sse import DONE

USAGE_SECONDS: Final = 1.0
"""Seconds for which the usage of a finished answer is awaited."""
ARRIVED_SECONDS: Final = 0.05
"""Seconds in which the part of an unfinished answer is read that has arrived already."""


def has_left(error: BaseException | None) -> bool:
    """Return whether a stream ended with `error` because its client left; only a cancelled task ends with no `Exception`."""
    return isinstance(error, ClientDisconnectedError) or not isinstance(error, Exception | None)


async def read_usage(source: EventSource, grammar: ChunkGrammar, rules: StreamRules, *, waits: bool) -> None:
    """Feed `grammar` with what a target says after its client has left, and has to be paid for.

    That is what has arrived already; of a finished answer its usage; and the whole rest of an answer that has a place in `rules.finishing`.

    Args:
        source: events of the answer.
        grammar: grammar of the chunks.
        rules: bounds of the stream.
        waits: whether to wait for what has not arrived yet.
    """
    finishing = rules.finishing if waits and rules.finishing is not None and rules.finishing.take() else None
    try:
        await _read(source, grammar, rules, finishing, waits=waits)
    except (StopAsyncIteration, GatewayError):
        # The target has said all that it says.
        pass
    finally:
        if finishing is not None:
            finishing.give_back()


async def _read(source: EventSource, grammar: ChunkGrammar, rules: StreamRules, finishing: Finishing | None, *, waits: bool) -> None:
    now = rules.clock.monotonic
    until = now() + (ARRIVED_SECONDS if finishing is None else finishing.seconds)
    awaits_usage = False
    while not (grammar.is_finished and not grammar.is_estimated):
        if grammar.is_finished and waits and not awaits_usage:
            awaits_usage, until = True, now() + USAGE_SECONDS
        patience = until - now() if awaits_usage or finishing is not None else 0.0
        source.detach(max(0.0, patience))
        batch = await source.__anext__()
        grammar.follow(batch)
        if (batch and batch[-1] is DONE) or not (batch or patience) or now() >= until:
            return
