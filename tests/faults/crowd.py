"""Many clients of one gateway at once: from threads, or on an event loop that runs all the time."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, Self

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from pydantic_core import to_json

from completions_mw import AsyncGateway, Gateway, Request, Settings
from completions_mw.core.resilience.store_health import StoreSnapshot
from tests.faults.conftest import Answer
from tests.support.waiting import wait_until
from tests.support.whole_answer import whole_answer

AT_ONCE = 8
"""Clients."""
RECOVERY = 2.0 + 3.0
"""Seconds after which a store that is back is in use (docs/promises.md), and what a machine that has much to do may need beyond them."""


def asking(key: str, model: str, **fields: Any) -> Request:
    """Return a chat request."""
    body = {"model": model, "messages": [{"role": "user", "content": "one two three"}], **fields}
    headers = (("authorization", f"Bearer {key}"), ("content-type", "application/json"))
    return Request("POST", "/api/v1/chat/completions", headers, to_json(body))


class Running(Protocol):
    """A stream of which something has arrived."""

    def rest(self) -> Answer:
        """Read it to its end."""
        ...


class Crowd(Protocol):
    """The clients of a gateway, inside a `with` block."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    @property
    def stores(self) -> tuple[StoreSnapshot, ...]: ...
    def send(self, request: Request) -> Answer: ...
    def send_all(self, requests: Iterable[Request]) -> list[Answer]: ...
    def begin(self, request: Request) -> Running: ...


class _BlockingRunning:
    def __init__(self, status: int, headers: Iterable[tuple[str, str]], body: Any) -> None:
        self._head = status, dict(headers)
        self._body = body
        self._first: bytes = next(body)

    def rest(self) -> Answer:
        with self._body as body:
            return Answer(*self._head, self._first + b"".join(body))


class BlockingCrowd:
    """Threads that share a `Gateway`."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.gateway = Gateway(settings, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.close()

    @property
    def stores(self) -> tuple[StoreSnapshot, ...]:
        return self.gateway.stores

    def send(self, request: Request) -> Answer:
        response = self.gateway.handle(request)
        if isinstance(response.body, bytes):
            return Answer(response.status, dict(response.headers), response.body)
        with response.body as body:
            return Answer(response.status, dict(response.headers), b"".join(body))

    def send_all(self, requests: Iterable[Request]) -> list[Answer]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self.send, requests))

    def begin(self, request: Request) -> Running:
        response = self.gateway.handle(request)
        return _BlockingRunning(response.status, response.headers, response.body)


class _AsyncRunning:
    def __init__(self, crowd: "AsyncCrowd", request: Request) -> None:
        self._crowd = crowd
        self._response = crowd.portal.call(crowd.gateway.handle, request)
        self._first: bytes = crowd.portal.call(self._response.body.__anext__)

    def rest(self) -> Answer:
        return self._crowd.portal.call(self._rest)

    async def _rest(self) -> Answer:
        answer = Answer(*await whole_answer(self._response))
        return answer._replace(body=self._first + answer.body)


class AsyncCrowd:
    """Tasks that share an `AsyncGateway`."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.gateway = AsyncGateway(settings, **options)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.portal = self._stack.enter_context(start_blocking_portal())
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            self.portal.call(self.gateway.close)

    @property
    def stores(self) -> tuple[StoreSnapshot, ...]:
        return self.gateway.stores

    def send(self, request: Request) -> Answer:
        return self.portal.call(self._send, request)

    def send_all(self, requests: Iterable[Request]) -> list[Answer]:
        return self.portal.call(self._send_all, list(requests))

    def begin(self, request: Request) -> Running:
        return _AsyncRunning(self, request)

    async def _send(self, request: Request) -> Answer:
        return Answer(*await whole_answer(await self.gateway.handle(request)))

    async def _send_all(self, requests: Sequence[Request]) -> list[Answer]:
        answers: list[Answer] = []
        places = anyio.Semaphore(AT_ONCE)

        async def one(request: Request) -> None:
            async with places:
                answers.append(await self._send(request))

        async with anyio.create_task_group() as group:
            for request in requests:
                group.start_soon(one, request)
        return answers


every_crowd = pytest.mark.parametrize("kind", [BlockingCrowd, AsyncCrowd], ids=["blocking", "async"])


def statuses(answers: Iterable[Answer]) -> dict[int, int]:
    """Return how often there was each status."""
    return dict(Counter(answer.status for answer in answers))


@contextmanager
def load(crowd: Crowd, request: Request) -> Iterator[list[Answer]]:
    """Let all clients send a request again and again, until the end of the block; give their answers, complete after it."""
    answers: list[Answer] = []
    over = threading.Event()

    def keep_on() -> None:
        while not over.is_set():
            answers.extend(crowd.send_all([request] * AT_ONCE))

    with ThreadPoolExecutor(1) as pool:
        clients = pool.submit(keep_on)
        try:
            yield answers
        finally:
            over.set()
        clients.result()


def store(crowd: Crowd, name: str) -> StoreSnapshot:
    """Return how one of the stores is doing."""
    return next(snapshot for snapshot in crowd.stores if snapshot.store == name)


def recovers(condition: Callable[[], bool]) -> None:
    """Wait until a store that is back is in use."""
    wait_until(condition, RECOVERY)
