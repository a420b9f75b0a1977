"""The chunks of one answer, on their way from a target to a client."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from completions_mw.core.ports import EventSource
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.sse import DONE, Event


class StreamEnd(NamedTuple):
    """How a stream ended."""

    usage: dict[str, Any]
    """What it used: reported by the target, else estimated."""
    estimated: bool
    finish_reason: Any
    """Why the answer ended, as the target gave it."""
    error: BaseException | None
    """None where the answer was complete."""


class StreamCharge(Protocol):
    """What is charged for a stream while it runs."""

    @property
    def is_watched(self) -> bool:
        """Whether somebody runs what is deferred."""
        ...

    def follow(self, usage: Callable[[], dict[str, Any]]) -> None:
        """Let `usage` tell from now on what the stream has used so far."""
        ...

    def is_due(self, chunks: int) -> bool:
        """Tell whether a checkpoint is to be made after so many more chunks."""
        ...

    async def checkpoint(self) -> None:
        """Note what the stream has used so far.

        Raises:
            GatewayError: the stream must end.
        """
        ...

    def defer(self, end: Callable[[], Awaitable[None]]) -> None:
        """Let `end` run later, where it may wait."""
        ...


class OpenedAnswer(NamedTuple):
    """A streamed answer that has begun: its first chunks are there, so no other target will be asked."""

    source: EventSource
    grammar: ChunkGrammar
    first: list[Event]


async def opened(source: EventSource, grammar: ChunkGrammar) -> OpenedAnswer:
    """Wait for the first chunks of an answer, so that a failure before them is still an HTTP error and another target can be asked.

    Raises:
        GatewayError: the answer failed before its first chunk; `source` is closed.
    """
    try:
        while True:
            first = _follow(grammar, await source.__anext__())
            if first:
                return OpenedAnswer(source, grammar, first)
    except StopAsyncIteration:
        # An answer without a chunk is not complete, so this raises.
        await source.aclose()
        return OpenedAnswer(source, grammar, grammar.end(done=False))
    except BaseException:
        await source.aclose()
        raise


class ChunkStream:
    """The chunks of one answer, in batches as they arrive; an empty batch says that nothing came for a while. `DONE` is the last event.

    A complete answer is over for its reader at once; what is left to do for the upstream is done in `aclose`.

    Args:
        answer: the answer that has begun.
        charge: notes what the stream uses; None where nothing is counted.
        on_end: told once how the stream ended.
    """

    __slots__ = ("_charge", "_first", "_grammar", "_is_closed", "_is_complete", "_on_end", "_source", "is_done")

    def __init__(self, answer: OpenedAnswer, charge: StreamCharge | None, on_end: Callable[[StreamEnd], Awaitable[None]]) -> None:
        self._source, self._grammar, first = answer
        self._first: list[Event] | None = first
        self._charge = charge
        self._on_end = on_end
        self._is_complete = first[-1] is DONE
        """Whether the target will say nothing more."""
        self.is_done = False
        """Whether the last event was given to the reader."""
        self._is_closed = False
        if charge is not None:
            charge.follow(self._grammar.final_usage)

    async def __anext__(self) -> list[Event]:
        if self._is_closed or self.is_done:
            raise StopAsyncIteration
        # As flat as it can be: this runs for every chunk.
        try:
            chunks, self._first = self._first, None
            while not chunks:
                batch = await self._source.__anext__()
                chunks = _follow(self._grammar, batch)
                if not batch:
                    break
            if chunks and chunks[-1] is DONE:
                self._is_complete = True
            if self._charge is not None and self._charge.is_due(len(chunks)):
                # Before the chunks are given away: what a client has, a checkpoint has too.
                await self._charge.checkpoint()
            self.is_done = self._is_complete
            return chunks
        except StopAsyncIteration:
            return await self._complete()
        except BaseException as error:
            await self._close(error)
            raise

    async def abort(self, error: Exception) -> None:
        """Stop the answer because of `error`, unless it has ended already."""
        await self._close(error)

    async def aclose(self) -> None:
        """Stop the answer wherever it is: the upstream is closed too."""
        await self._close(None if self._is_complete else ClientDisconnectedError())

    async def abandon(self) -> None:
        """Close the upstream, and let the maintenance settle the request: called by the garbage collector, so no store is asked."""
        if self._is_closed:
            return
        self._is_closed = True
        error = await self._release(None if self._is_complete else ClientDisconnectedError())
        if self._charge is not None and self._charge.is_watched:
            self._charge.defer(partial(self._on_end, self._end(error)))
        else:
            await self._on_end(self._end(error))

    async def _complete(self) -> list[Event]:
        """Return the chunks that end an answer whose target did not say that it is complete."""
        try:
            chunks = self._grammar.end(done=False)
        except GatewayError as error:
            await self._close(error)
            raise
        self._is_complete = self.is_done = True
        return chunks

    async def _close(self, error: BaseException | None) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            error = await self._release(error)
        finally:
            await self._on_end(self._end(error))

    async def _release(self, error: BaseException | None) -> BaseException | None:
        """Release the upstream; return how the stream ended."""
        try:
            await (self._source.finish() if error is None else self._source.aclose())
        except Exception as failure:
            # The answer has ended all the same, and who closes it cannot mend this: it is for the log.
            return failure if error is None or isinstance(error, ClientDisconnectedError) else error
        return error

    def _end(self, error: BaseException | None) -> StreamEnd:
        grammar = self._grammar
        return StreamEnd(grammar.final_usage(), grammar.is_estimated, grammar.finish_reason, error)


def _follow(grammar: ChunkGrammar, batch: list[Event]) -> list[Event]:
    if len(batch) == 1 and batch[0] is not DONE:
        return grammar.feed(batch[0])
    chunks: list[Event] = []
    for event in batch:
        if event is DONE:
            chunks.extend(grammar.end(done=True))
            break
        chunks.extend(grammar.feed(event))
    return chunks
