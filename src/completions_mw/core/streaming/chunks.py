"""The stream of one answer's chunks, from a target to a client."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from completions_mw.core.ports import EventSource
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.sse import DONE, Event


class StreamEnd(NamedTuple):
    """Usage and outcome of a stream that has ended."""

    usage: dict[str, Any]
    """The `usage` object, reported by the target or estimated."""
    estimated: bool
    """Whether `usage` is an estimate."""
    finish_reason: Any
    """The answer's `finish_reason` as the target gave it."""
    error: BaseException | None
    """Error with which the stream ended; None for a complete answer."""


class StreamCharge(Protocol):
    """The charge of a stream: makes checkpoints while it runs."""

    @property
    def is_watched(self) -> bool:
        """Whether the maintenance runs, so that it would run what is deferred."""
        ...

    @property
    def defer(self) -> Callable[[Callable[[], Awaitable[None]]], None]:
        """Takes the end of a dropped stream, for the maintenance to run."""
        ...

    def follow(self, usage: Callable[[], dict[str, Any]]) -> None:
        """Take the usage so far from `usage`, which returns a `usage` object."""
        ...

    def is_due(self, chunks: int) -> bool:
        """Count `chunks` more chunks and tell whether a checkpoint is due."""
        ...

    async def checkpoint(self) -> None:
        """Write the usage so far to the ledger.

        Raises:
            GatewayError: the stream must end.
        """
        ...


class OpenedAnswer(NamedTuple):
    """A streamed answer whose first chunks have arrived, so that no other target is asked."""

    source: EventSource
    grammar: ChunkGrammar
    first: list[Event]
    """The first chunks; at least one."""


async def opened(source: EventSource, grammar: ChunkGrammar) -> OpenedAnswer:
    """Wait for an answer's first chunks, so that a failure before them is an HTTP error and another target can be asked.

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
    """The chunks of one answer, in batches as they arrive. `DONE` is the last event.

    An empty batch means that nothing arrived for one keep-alive interval. A reader gets `DONE` before the upstream is released, which
    `aclose` does.

    Args:
        answer: the opened answer.
        charge: charge of the request; None where requests are not counted.
        on_end: called once, when the stream has ended.
    """

    __slots__ = ("_charge", "_first", "_grammar", "_is_closed", "_is_complete", "_on_end", "_source", "is_done")

    def __init__(self, answer: OpenedAnswer, charge: StreamCharge | None, on_end: Callable[[StreamEnd], Awaitable[None]]) -> None:
        self._source, self._grammar, first = answer
        self._first: list[Event] | None = first
        self._charge = charge
        self._on_end = on_end
        self._is_complete = first[-1] is DONE
        """Whether the target has sent the whole answer."""
        self.is_done = False
        """Whether the reader has the last event."""
        self._is_closed = False
        if charge is not None:
            charge.follow(self._grammar.final_usage)

    async def __anext__(self) -> list[Event]:
        if self._is_closed or self.is_done:
            raise StopAsyncIteration
        # One flat function, because it runs for every chunk.
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
                # Before the chunks are returned, so that a client never has more than a checkpoint counts.
                await self._charge.checkpoint()
            self.is_done = self._is_complete
            return chunks
        except StopAsyncIteration:
            return await self._complete()
        except BaseException as error:
            await self._close(error)
            raise

    def usage(self) -> dict[str, Any]:
        """Return the usage so far: reported by the target, or estimated."""
        return self._grammar.final_usage()

    async def abort(self, error: Exception) -> None:
        """Stop the answer because of `error`, unless it has ended."""
        await self._close(error)

    async def aclose(self) -> None:
        """Stop the answer at any point, and release the upstream."""
        await self._close(None if self._is_complete else ClientDisconnectedError())

    async def abandon(self) -> None:
        """Close the upstream and let the maintenance settle the request: for the garbage collector, which must not wait for a store."""
        defer = self._charge.defer if self._charge is not None and self._charge.is_watched else None
        await self._close(None if self._is_complete else ClientDisconnectedError(), defer)

    async def _complete(self) -> list[Event]:
        """Return the chunks that end an answer whose target ended its stream without `DONE`."""
        try:
            chunks = self._grammar.end(done=False)
        except GatewayError as error:
            await self._close(error)
            raise
        self._is_complete = self.is_done = True
        return chunks

    async def _close(self, error: BaseException | None, defer: Callable[[Callable[[], Awaitable[None]]], None] | None = None) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        grammar = self._grammar
        try:
            await (self._source.finish() if error is None else self._source.aclose())
        except Exception as failure:
            # The answer has ended, and its reader cannot mend the failure: it is for the log.
            error = failure if error is None or isinstance(error, ClientDisconnectedError) else error
        finally:
            end = StreamEnd(grammar.final_usage(), grammar.is_estimated, grammar.finish_reason, error)
            if defer is None:
                await self._on_end(end)
            else:
                defer(partial(self._on_end, end))


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
