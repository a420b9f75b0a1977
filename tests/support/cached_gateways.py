"""Gateways of both kinds with a cache, driven from plain threads, and a model whose answers a test holds back."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from completions_mw import AsyncGateway, CacheStats, Gateway, Request, Settings
from completions_mw.http import Headers, Response
from tests.hosts.base import CHAT, bearer
from tests.support.waiting import wait_until

KEYS = {"ada": "sk-ada-0123456789", "eve": "sk-eve-0123456789", "bob": "sk-bob-0123456789"}
"""Keys of the tenant `acme`, and of one without a tenant, `bob`."""
HELLO = [{"role": "user", "content": "hi"}]


class HeldModel:
    """A Python function as a model: each of its pieces waits until a test releases it.

    Args:
        pieces: pieces of the answer; the number of the call comes last.
        held: index of the piece before which the model waits; None for never.
        usage: what the model reports at the end; None for nothing.
    """

    def __init__(self, *pieces: Any, held: int | None = None, usage: Mapping[str, int] | None = None) -> None:
        self._pieces = pieces or ("one ", "two ")
        self._held = held
        self._last: list[Any] = [] if usage is None else [{"usage": usage}]
        self._lock = threading.Lock()
        self._release = threading.Event()
        self.calls = 0
        self.stopped = 0

    def __call__(self, request: object) -> Iterator[Any]:
        with self._lock:
            self.calls += 1
            number = self.calls
        try:
            for index, piece in enumerate((*self._pieces, str(number), *self._last)):
                if index == self._held:
                    assert self._release.wait(30), "nobody released the model"
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        except GeneratorExit:
            self.stopped += 1
            raise

    def hold(self) -> None:
        """Let further calls wait again."""
        self._release.clear()

    def release(self) -> None:
        self._release.set()


@dataclass
class Reply:
    """The response to one request; a streamed body is read piece by piece, and may be left."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]
    close: Callable[[], None]

    @property
    def cache(self) -> str | None:
        return self.headers.get("x-cache")

    def read(self) -> bytes:
        try:
            return b"".join(self.pieces)
        finally:
            self.close()

    def json(self) -> Any:
        return json.loads(self.read())

    @property
    def text(self) -> str:
        """The text of a whole answer."""
        text: str = self.json()["choices"][0]["message"]["content"]
        return text


class CachedGateway:
    """A gateway of one kind, inside a `with` block. Each request may be sent from a thread of its own.

    Args:
        kind: `blocking` or `async`.
        functions: Python functions as models.
        options: further keyword arguments of the gateway.
        **tree: further settings.
    """

    def __init__(
        self, kind: str, functions: Mapping[str, Callable[[Any], Any]], options: dict[str, Any] | None = None, **tree: Any
    ) -> None:
        settings: dict[str, Any] = {
            "cache": {"enabled": True, "when": "always"},
            "keys": {name: {"secret": secret, **({} if name == "bob" else {"tenant": "acme"})} for name, secret in KEYS.items()},
            **tree,
        }
        settings["models"] = {name: {"cache": {"enabled": True}} for name in functions} | tree.get("models", {})
        self._settings = Settings.from_mapping(settings)
        self._kind = kind
        self._options: Any = {"models": functions, **(options or {})}
        self._stack = ExitStack()
        self.portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        self._threads = self._stack.enter_context(ThreadPoolExecutor(256))
        if self._kind == "async":
            self.portal = self._stack.enter_context(start_blocking_portal())
            made: AbstractContextManager[AsyncGateway] = self.portal.wrap_async_context_manager(
                AsyncGateway(self._settings, **self._options)
            )
            self.gateway: Any = self._stack.enter_context(made)
        else:
            self.gateway = self._stack.enter_context(Gateway(self._settings, **self._options))
        return self

    def __exit__(self, *failure: Any) -> None:
        self._stack.__exit__(*failure)

    def send(self, key: str = "ada", control: str | None = None, headers: Headers = (), **fields: Any) -> Reply:
        """Send a request, and return its response once it has begun."""
        headers = (*bearer(KEYS[key]), ("content-type", "application/json"), *headers)
        if control is not None:
            headers = (*headers, ("cache-control", control))
        body = json.dumps({"model": "m", "messages": HELLO, **fields}).encode()
        response: Response[Any] = self.call(self.gateway.handle, Request("POST", CHAT, headers, body))
        pieces, close = self._body(response.body)
        return Reply(response.status, dict(response.headers), pieces, close)

    def later(self, *args: Any, **fields: Any) -> "Future[Reply]":
        """Send a request from a thread of its own."""
        return self._threads.submit(self.send, *args, **fields)

    def stats(self) -> CacheStats:
        stats: CacheStats = self.call(self.gateway.cache.stats)
        return stats

    def wait_for_requests(self, number: int) -> None:
        """Wait until so many requests share calls."""
        wait_until(lambda: self.stats().waiting == number)

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a method of the gateway."""
        if self.portal is None:
            return function(*args, **options)

        async def work() -> Any:
            return await function(*args, **options)

        return self.portal.call(work)

    def _body(self, body: Any) -> tuple[Iterator[bytes], Callable[[], None]]:
        if isinstance(body, bytes):
            return iter([body]), lambda: None
        if self.portal is None:
            return body, body.close
        return self._pieces(body), lambda: self.call(body.aclose)

    def _pieces(self, body: Any) -> Iterator[bytes]:
        while not body.is_done:
            yield self.call(body.__anext__)


Made = Callable[..., CachedGateway]
"""Makes gateways that are closed when the test ends."""
