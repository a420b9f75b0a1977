"""The first chunks of a streamed answer, before which a failure is an HTTP error and another target can be asked."""

from typing import NamedTuple

from completions_mw.core.ports import EventSource
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.sse import Event


class OpenedAnswer(NamedTuple):
    """A streamed answer whose first chunks have arrived, so that no other target is asked."""

    source: EventSource
    grammar: ChunkGrammar
    first: list[Event]
    """The first chunks; at least one."""
    deadline: float
    """When the answer must be complete, in seconds of the monotonic clock."""


async def opened(source: EventSource, grammar: ChunkGrammar, deadline: float) -> OpenedAnswer:
    """Wait for an answer's first chunks, so that a failure before them is an HTTP error and another target can be asked.

    Args:
        source: events of the answer.
        grammar: grammar of its chunks.
        deadline: when the answer must be complete.

    Raises:
        GatewayError: the answer failed before its first chunk; `source` is closed.
    """
    try:
        while True:
            first = grammar.follow(await source.__anext__())
            if first:
                return OpenedAnswer(source, grammar, first, deadline)
    except StopAsyncIteration:
        # An answer without a chunk is not complete, so this raises.
        await source.aclose()
        return OpenedAnswer(source, grammar, grammar.end(done=False), deadline)
    except BaseException:
        await source.aclose()
        raise
