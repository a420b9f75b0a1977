"""Turns the items that an in-process model yields into a stream of events, or into one completion."""

from collections.abc import Coroutine
from typing import Any, Protocol

from completions_mw.backends.models.chunks import chunks_of, completed, is_completion, plain
from completions_mw.backends.models.faults import SIGNALS, signalled
from completions_mw.core.streaming.accumulator import Accumulator
from completions_mw.core.streaming.pieces import split
from completions_mw.schemas import ChatRequest
from completions_mw.sse import DONE, Event


class ItemSource(Protocol):
    """The items of one answer, in batches as the model yields them. An empty batch: nothing came for one keep-alive interval."""

    def __anext__(self) -> Coroutine[Any, Any, list[Any]]: ...

    async def aclose(self) -> None:
        """Stop the model wherever it is. May be called twice, and before the first item."""
        ...


class ModelStream:
    """The `EventSource` of an in-process model. Adds finish reasons and usage where the model leaves them out.

    Args:
        source: the items of the model.
        request: what the model answers.
    """

    __slots__ = ("_answer", "_ended", "_source")

    def __init__(self, source: ItemSource, request: ChatRequest) -> None:
        self._source = source
        self._answer = Accumulator(request)
        self._ended = False

    async def __anext__(self) -> list[Event]:
        if self._ended:
            raise StopAsyncIteration
        try:
            items = await self._source.__anext__()
        except StopAsyncIteration:
            self._ended = True
            return [*map(Event, self._answer.closing()), DONE]
        except BaseException:
            self._ended = True
            raise
        try:
            return [Event(self._answer.add(part)) for item in items for part in chunks_of(plain(item))]
        except BaseException as error:
            self._ended = True
            if isinstance(error, SIGNALS):
                raise signalled(error) from error
            raise

    def detach(self, tick: float) -> None:
        self._ended = True

    async def finish(self) -> None:
        await self._source.aclose()

    async def aclose(self) -> None:
        self._ended = True
        await self._source.aclose()


async def collect(source: ItemSource, request: ChatRequest) -> dict[str, Any]:
    """Return the whole answer of `source` as one `chat.completion`, and close it."""
    answer = Accumulator(request)
    try:
        while True:
            try:
                items = await source.__anext__()
            except StopAsyncIteration:
                return answer.completion()
            for item in items:
                whole = plain(item)
                if is_completion(whole):
                    return _complete(completed(whole), answer)
                for part in chunks_of(whole):
                    answer.add(part)
    finally:
        await source.aclose()


def _complete(completion: dict[str, Any], answer: Accumulator) -> dict[str, Any]:
    """Return a model's own completion with all members of the API (docs/contract.md, Answers)."""
    for part in split(completion):
        answer.add(part)
    said = {name: value for name, value in completion.items() if value is not None}
    return {**answer.completion(), **said}
