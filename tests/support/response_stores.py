"""Stores of cached answers of every kind behind one face, and answers to put into them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from completions_mw.backends.memory.responses import MemoryResponses
from completions_mw.backends.responses import shared_responses
from completions_mw.blocking import run_sync
from completions_mw.core.cache.recording import whole_answer
from completions_mw.core.ports import CacheKey, StoredAnswer
from completions_mw.core.validation import validate, validate_embeddings
from completions_mw.providers.base import Completion
from completions_mw.settings import CacheSettings
from tests.support.admission import PATIENT
from tests.support.fake_clock import FakeClock
from tests.support.redis_server import RedisServer

T = TypeVar("T")
MAX_BYTES = 1_000_000
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
CHAT = validate({"model": "m", "messages": [{"role": "user", "content": "hi"}]})


def completion(text: str = "Hello!", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "logprobs": None, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


def answer(text: str = "Hello!") -> StoredAnswer:
    return whole_answer(Completion(completion(text)), CHAT, "up/m")


def vectors() -> StoredAnswer:
    """Return an answer with embeddings, which has no stream."""
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
    whole = {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    return whole_answer(Completion(whole), validate_embeddings({"model": "m", "input": "hi"}, max_inputs=1), "up/m")


def key(name: str = "a", scope: str = "tenant:a", model: str = "m") -> CacheKey:
    return CacheKey(name.encode().ljust(32, b"."), scope, model)


class StoreStand(Protocol):
    """A store, driven from a plain function."""

    @property
    def store(self) -> Any: ...
    def run(self, work: Coroutine[Any, Any, T]) -> T: ...
    def advance(self, seconds: float) -> None: ...
    def close(self) -> None: ...


class MemoryStore:
    store: Any

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.clock = FakeClock()
        self.store = MemoryResponses(self.clock.clock(), max_bytes)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return run_sync(work)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def close(self) -> None: ...


class RedisStore(MemoryStore):
    blocking = True

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        server.flush()
        self.store = shared_responses(server.url + PATIENT, "test", CacheSettings(compress_above=200), MAX_BYTES, blocking=self.blocking)

    def advance(self, seconds: float) -> None:
        """Move the end of every key towards now."""
        for name in self.server.command("KEYS", "*"):
            left = self.server.command("PTTL", name) - int(seconds * 1000)
            self.server.command("PEXPIRE", name, left)

    def close(self) -> None:
        self.run(self.store.aclose())


class AsyncRedisStore(RedisStore):
    blocking = False

    def __init__(self, server: RedisServer) -> None:
        super().__init__(server)
        self.runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        super().close()
        self.runner.close()
