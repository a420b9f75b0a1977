"""The chunks of one answer, on their way from a target to a client."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from completions_mw.core.ports import EventSource
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.sse import DONE, Event

OnEnd = Callable[[BaseException | None], Awaitable[None]]
"""Told once how the answer ended: None where it was complete."""


class Checkpoints(Protocol):
    """Who wants to know from time to time what a stream has used."""

    def is_due(self, chunks: int) -> bool:
        """Tell whether that is now, after so many more chunks."""
        ...

    async def checkpoint(self, usage: dict[str, Any]) -> None:
        """Take note of it.

        Raises:
            GatewayError: the stream must end.
        """
        ...


class ChunkStream:
    """The chunks of one answer, in batches as they arrive; an empty batch says that nothing came for a while. `DONE` is the last event.

    A complete answer is over for its reader at once; what is left to do for the upstream is done in `aclose`.
    """

    __slots__ = ("_closed", "_first", "_grammar", "_source", "checkpoints", "done", "on_end")

    def __init__(self, source: EventSource, grammar: ChunkGrammar) -> None:
        self._source = source
        self._grammar = grammar
        self.checkpoints: Checkpoints | None = None
        self.on_end: OnEnd | None = None
        self._first: list[Event] | None = None
        self.done = False
        """Whether the answer is complete: the target will say nothing more."""
        self._closed = False

    @property
    def given(self) -> bool:
        """Whether its last event was given to its reader."""
        return self.done and not self._first

    @property
    def usage(self) -> dict[str, Any]:
        """What the answer has used so far, as far as it is known."""
        return self._grammar.final_usage()

    @property
    def usage_so_far(self) -> Callable[[], dict[str, Any]]:
        """What tells `usage` at any time, without keeping this stream."""
        return self._grammar.final_usage

    @property
    def estimated(self) -> bool:
        """Whether that is an estimate."""
        return self._grammar.estimated

    @property
    def finish_reason(self) -> Any:
        """Why the answer ended, as the target gave it."""
        return self._grammar.finish_reason

    async def prime(self) -> None:
        """Wait for the first event, so that a failure before it is still an HTTP error and another target can be tried."""
        while not self._first:
            self._first = await self.__anext__()

    async def __anext__(self) -> list[Event]:
        if self._first:
            return await self._primed()
        if self.done or self._closed:
            raise StopAsyncIteration
        try:
            # As flat as it can be: this runs for every chunk.
            while True:
                batch = await self._source.__anext__()
                chunks = self._follow(batch) if batch else batch
                if chunks or not batch:
                    if self.checkpoints is not None and self.checkpoints.is_due(len(chunks)):
                        # Before the chunks are given away: what a client has, a checkpoint has too.
                        await self.checkpoints.checkpoint(self.usage)
                    return chunks
        except StopAsyncIteration:
            return await self._end()
        except BaseException as error:
            await self._close(error)
            raise

    async def abort(self, error: Exception) -> None:
        """Stop the answer because of `error`, unless it has ended already."""
        await self._close(error)

    async def aclose(self) -> None:
        """Stop the answer wherever it is: the upstream is closed too."""
        await self._close(None if self.done else ClientDisconnectedError())

    async def _primed(self) -> list[Event]:
        """Return what came before there was anybody to tell of checkpoints."""
        first, self._first = self._first or [], None
        try:
            if self.checkpoints is not None and self.checkpoints.is_due(len(first)):
                await self.checkpoints.checkpoint(self.usage)
        except BaseException as error:
            await self._close(error)
            raise
        return first

    async def _end(self) -> list[Event]:
        """Return the chunks that end an answer whose target did not say that it is complete."""
        try:
            chunks = self._grammar.end(done=False)
        except GatewayError as error:
            await self._close(error)
            raise
        self.done = True
        return chunks

    def _follow(self, batch: list[Event]) -> list[Event]:
        if len(batch) == 1 and batch[0] is not DONE:
            return self._grammar.feed(batch[0])
        chunks: list[Event] = []
        for event in batch:
            if event is DONE:
                self.done = True
                chunks.extend(self._grammar.end(done=True))
                break
            chunks.extend(self._grammar.feed(event))
        return chunks

    async def _close(self, error: BaseException | None) -> None:
        if self._closed:
            return
        self._closed = True
        # Kept no longer: whoever is told of the end may hold on to this stream.
        on_end, self.on_end, self.checkpoints = self.on_end, None, None
        try:
            await (self._source.finish() if error is None else self._source.aclose())
        except Exception as failure:
            # The answer has ended all the same, and who closes it cannot mend this: it is for the log.
            error = failure if error is None or isinstance(error, ClientDisconnectedError) else error
        finally:
            if on_end is not None:
                await on_end(error)
