"""openai-python, sync and async, used in the same words: what is tested is written once, as a user of the sync client would."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isawaitable, isroutine
from typing import Any, cast

from openai import AsyncOpenAI, DefaultAsyncHttpx2Client, DefaultHttpx2Client, OpenAI
from pydantic import BaseModel

from tests.clients.support import Endpoint
from tests.support.envelope import REFUSALS, Refusal


@dataclass
class Sdk:
    """A client, and what it has sent, retries too."""

    client: OpenAI
    sent: list[str]


@contextmanager
def sync_sdk(endpoint: Endpoint) -> Iterator[Sdk]:
    sent: list[str] = []

    def count(request: Any) -> None:
        sent.append(str(request.url))

    def note_refusal(response: Any) -> None:
        if response.is_error:
            REFUSALS.append(_refusal(response, response.read()))

    http = DefaultHttpx2Client(event_hooks={"request": [count], "response": [note_refusal]})
    # Strict: an answer that is not what the SDK's types say is an error.
    with OpenAI(base_url=endpoint.base_url, api_key=endpoint.api_key, http_client=http, _strict_response_validation=True) as client:
        yield Sdk(client, sent)


@contextmanager
def async_sdk(endpoint: Endpoint) -> Iterator[Sdk]:
    sent: list[str] = []

    async def count(request: Any) -> None:
        sent.append(str(request.url))

    async def note_refusal(response: Any) -> None:
        if response.is_error:
            REFUSALS.append(_refusal(response, await response.aread()))

    with asyncio.Runner() as runner:
        http = DefaultAsyncHttpx2Client(event_hooks={"request": [count], "response": [note_refusal]})
        client = AsyncOpenAI(base_url=endpoint.base_url, api_key=endpoint.api_key, http_client=http, _strict_response_validation=True)
        yield Sdk(cast("OpenAI", _InBlockingCode(client, runner)), sent)
        runner.run(client.close())


def _refusal(response: Any, body: bytes) -> Refusal:
    return Refusal(response.request.method, response.status_code, dict(response.headers), body)


class _InBlockingCode:
    """An object of the async SDK whose methods, iterations and contexts run to their end when they are called."""

    def __init__(self, target: Any, runner: asyncio.Runner) -> None:
        self._target = target
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return self._seen(getattr(self._target, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._seen(self._target(*args, **kwargs))

    def __iter__(self) -> Iterator[Any]:
        items = aiter(self._target)
        while (item := self._run(anext(items, None))) is not None:
            yield self._seen(item)

    def __enter__(self) -> Any:
        return self._seen(self._run(self._target.__aenter__()))

    def __exit__(self, *error: object) -> None:
        self._run(self._target.__aexit__(*error))

    def _seen(self, value: Any) -> Any:
        if isawaitable(value):
            value = self._run(value)
        of_the_sdk = type(value).__module__.partition(".")[0] == "openai" and not isinstance(value, BaseModel)
        return _InBlockingCode(value, self._runner) if of_the_sdk or isroutine(value) else value

    def _run(self, awaitable: Any) -> Any:
        async def result() -> Any:
            return await awaitable

        return self._runner.run(result())
