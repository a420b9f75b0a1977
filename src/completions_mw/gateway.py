"""The two gateways: settings and backends, joined to one pipeline.

`Gateway` is for threads and greenlets, `AsyncGateway` for event loops. They differ in their backends and in nothing else.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Self

from completions_mw.backends.assembly import Assembly
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.kits import AsyncKit, BlockingKit, Kit
from completions_mw.core.auth import Authenticate, Authenticator, Caller, Somebody, caller_named, missing
from completions_mw.core.blocking import BlockingIterator, iterate, run
from completions_mw.core.catalog import Catalog
from completions_mw.core.direct import as_gateway_errors, typed
from completions_mw.core.json_body import Bounds
from completions_mw.core.pipeline import Pipeline, Rules
from completions_mw.core.ports import ModelFunction, Transport
from completions_mw.core.routes import Routes
from completions_mw.core.streaming import ChunkReader, ChunkStream, SseBody
from completions_mw.core.validation import prepare
from completions_mw.http import Request, Response
from completions_mw.schemas import ChatCompletion, ChatCompletionChunk, ModelList
from completions_mw.settings import Settings


class _GatewayBase:
    """What both gateways share: everything but how they wait."""

    def __init__(
        self,
        settings: Settings,
        kit: Kit,
        models: Mapping[str, ModelFunction] | None,
        authenticate: Authenticate | None,
        transport: Transport | None,
    ) -> None:
        if not isinstance(settings, Settings):
            text = 'from a file by Settings.from_toml("completions.toml"), or from a mapping by Settings.from_mapping({...})'
            raise TypeError(f"`settings` should be a Settings, {text}, not {type(settings).__name__}")
        prepare()
        self._assembly = Assembly(settings, models or {}, kit, transport)
        self.settings = settings
        self._pipeline = Pipeline(
            Routes(settings.prefix),
            Authenticator(settings.keys, SYSTEM_CLOCK, authenticate),
            Catalog(self._assembly.models),
            Rules(
                settings.unknown_params,
                settings.max_body_bytes,
                Bounds(max_depth=settings.max_depth, max_items=settings.max_items, max_messages=settings.max_messages),
                settings.debug,
            ),
            SYSTEM_CLOCK,
        )

    def owns(self, method: str, path: str) -> bool:
        """Tell whether a request is for this gateway; adapters pass all others on to the host app."""
        return self._pipeline.routes.owns(method, path)

    def _caller(self, key: str | None, caller: Somebody | None) -> Caller | None:
        if key is not None and caller is not None:
            raise TypeError("give either `key` or `caller`, not both")
        if key is not None:
            return self._pipeline.caller_of(key)
        found = caller_named(caller)
        if found is None and caller is not None:
            # None is the app itself, which may do everything; an empty id must not be.
            raise missing()
        return found

    def _list(self, key: str | None, caller: Somebody | None) -> ModelList:
        return self._pipeline.models(self._caller(key, caller))

    async def _complete(self, fields: dict[str, Any], key: str | None, caller: Somebody | None) -> ChatCompletion:
        if fields.get("stream"):
            raise TypeError("complete() gives whole answers: use stream() instead of `stream=True`")
        who = self._caller(key, caller)
        with as_gateway_errors():
            completion = await self._pipeline.complete({**fields, "stream": False}, who)
            return typed(ChatCompletion, completion.data)

    async def _open(self, fields: dict[str, Any], key: str | None, caller: Somebody | None) -> ChunkStream:
        who = self._caller(key, caller)
        with as_gateway_errors():
            return await self._pipeline.stream(fields, who)

    def _reader(self, fields: dict[str, Any], key: str | None, caller: Somebody | None) -> ChunkReader:
        return ChunkReader(partial(self._open, fields, key, caller))


class Gateway(_GatewayBase):
    """Answers chat completions in blocking code: WSGI apps, scripts, threads, greenlets.

    One gateway serves all threads. It opens nothing until the first request, so it may be made before a fork.

    Args:
        settings: from a file, a mapping or code; README, "Settings".
        models: Python functions as models, by the name that clients send.
        authenticate: the host app's login, called with the `Request` of a caller without a valid key; returns a `Caller`, an id or None.
        transport: instead of the built-in one, for all upstreams; the caller closes it.

    Raises:
        ConfigurationError: the settings ask for something that cannot work, or a function cannot be called with a request.
        TypeError: `settings` is a path or a mapping instead.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        models: Mapping[str, ModelFunction] | None = None,
        authenticate: Authenticate | None = None,
        transport: Transport | None = None,
    ) -> None:
        super().__init__(settings, BlockingKit(), models, authenticate, transport)

    def handle(self, request: Request) -> Response[BlockingIterator[bytes]]:
        """Answer a request of HTTP; never raises for what is wrong with the request."""
        response: Response[SseBody] = run(self._pipeline.handle(request))
        body = response.body if isinstance(response.body, bytes) else iterate(response.body)
        return Response(response.status, response.headers, body)

    def complete(
        self, *, model: str, messages: Iterable[Any], key: str | None = None, caller: Somebody | None = None, **params: Any
    ) -> ChatCompletion:
        """Return the whole answer.

        Args:
            model: a name of the settings.
            messages: as in the API: dicts, or messages of earlier answers.
            key: the API key to answer for; its rules apply.
            caller: the same for somebody that the app knows, by id or as a `Caller`; neither is the app itself, which may use every model.
            **params: all other parameters of the API.

        Raises:
            GatewayError: the same failure that HTTP would answer, as an exception.
        """
        return run(self._complete({"model": model, "messages": messages, **params}, key, caller))

    def stream(
        self, *, model: str, messages: Iterable[Any], key: str | None = None, caller: Somebody | None = None, **params: Any
    ) -> BlockingIterator[ChatCompletionChunk]:
        """Return an iterator over the answer's chunks, which is also a context manager that stops the answer.

        Arguments and errors as `complete`; the request is sent, and may fail, when the first chunk is asked for.
        """
        return iterate(self._reader({"model": model, "messages": messages, **params}, key, caller))

    def models(self, *, key: str | None = None, caller: Somebody | None = None) -> ModelList:
        """Return the models that a caller may use."""
        return self._list(key, caller)

    def close(self) -> None:
        """Close connections and models. The gateway may be used again: it opens them anew."""
        run(self._assembly.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncGateway(_GatewayBase):
    """Answers chat completions in async code: ASGI apps, asyncio; the same names as `Gateway`.

    Args:
        settings: from a file, a mapping or code; README, "Settings".
        models: Python functions as models, by the name that clients send; blocking ones run in threads.
        authenticate: the host app's login, sync or async, called with the `Request` of a caller without a valid key; returns a `Caller`,
            an id or None.
        transport: instead of the built-in one, for all upstreams; the caller closes it.

    Raises:
        ConfigurationError: the settings ask for something that cannot work, or a function cannot be called with a request.
        TypeError: `settings` is a path or a mapping instead.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        models: Mapping[str, ModelFunction] | None = None,
        authenticate: Authenticate | None = None,
        transport: Transport | None = None,
    ) -> None:
        super().__init__(settings, AsyncKit(), models, authenticate, transport)

    async def handle(self, request: Request) -> Response[SseBody]:
        """Answer a request of HTTP; never raises for what is wrong with the request."""
        return await self._pipeline.handle(request)

    async def complete(
        self, *, model: str, messages: Iterable[Any], key: str | None = None, caller: Somebody | None = None, **params: Any
    ) -> ChatCompletion:
        """Return the whole answer. Arguments and errors as `Gateway.complete`."""
        return await self._complete({"model": model, "messages": messages, **params}, key, caller)

    def stream(
        self, *, model: str, messages: Iterable[Any], key: str | None = None, caller: Somebody | None = None, **params: Any
    ) -> ChunkReader:
        """Return an async iterator over the answer's chunks, which is also an async context manager that stops the answer.

        Arguments and errors as `complete`; the request is sent, and may fail, when the first chunk is asked for.
        """
        return self._reader({"model": model, "messages": messages, **params}, key, caller)

    async def models(self, *, key: str | None = None, caller: Somebody | None = None) -> ModelList:
        """Return the models that a caller may use."""
        return self._list(key, caller)

    async def close(self) -> None:
        """Close the connections of this event loop, and models. The gateway may be used again: it opens them anew."""
        await self._assembly.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
