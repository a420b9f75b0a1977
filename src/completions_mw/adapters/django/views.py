"""The view of all paths, and the translation between Django's requests and ours."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Self
from weakref import finalize

from completions_mw.adapters import asgi, wsgi
from completions_mw.adapters.support import needs
from completions_mw.core.streaming.body import StreamBody
from completions_mw.errors import ClientDisconnectedError
from completions_mw.gateway import AsyncGateway, Gateway
from completions_mw.http import Request, RequestBody, Response

with needs("django"):
    from django.core.handlers.asgi import ASGIRequest
    from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse, UnreadablePostError


class View:
    """Answers with the gateway that fits the server that sent the request (DESIGN section 3).

    It is no coroutine function, so Django calls it alike in both worlds; what it returns under ASGI is awaited on the event loop.
    """

    csrf_exempt = True
    login_required = False

    def __init__(self, gateway: Gateway, async_gateway: AsyncGateway) -> None:
        self._gateway = gateway
        self._async_gateway = async_gateway

    def __call__(self, request: HttpRequest, path: str, model: str = "") -> Any:
        ours = to_request(request, path + model)
        if not self._gateway.owns(ours.method, ours.path):
            raise Http404
        # GZipMiddleware would collect a stream, or compress each piece as a file of its own.
        request.META.pop("HTTP_ACCEPT_ENCODING", None)
        if isinstance(request, ASGIRequest):
            return Deferred(lambda: self._answer(ours))
        return to_django_response(self._gateway.handle(ours))

    async def _answer(self, request: Request) -> HttpResponse:
        return to_django_response(await self._async_gateway.handle(request))


class Deferred:
    """An answer that Django awaits on the event loop of its server, as it does for every response with an async `render`."""

    def __init__(self, answer: Callable[[], Awaitable[HttpResponse]]) -> None:
        self._answer = answer

    async def render(self) -> HttpResponse:
        return await self._answer()


def to_request(request: HttpRequest, path: str) -> Request:
    """Return a request of Django as the gateway takes it.

    Args:
        request: of WSGI or ASGI.
        path: the part of its path that is ours, wherever the URLs are included.
    """
    body: RequestBody = DjangoBody(request)
    if isinstance(request, ASGIRequest):
        return replace(asgi.to_request(request.scope, body, request), path=path)
    if not request.META.get("CONTENT_LENGTH"):
        # Django takes a chunked body for an empty one.
        body = wsgi.WSGIBody(request.environ)
    return replace(wsgi.to_request(request.environ, request), path=path, body=body)


def to_django_response(response: Response[Any]) -> HttpResponse:
    """Return the gateway's answer as Django sends it."""
    headers = dict(wsgi.headers_of(response))
    if isinstance(response.body, bytes):
        return HttpResponse(response.body, status=response.status, headers=headers)
    body = AsyncBody(response.body) if isinstance(response.body, StreamBody) else response.body
    return StreamingHttpResponse(body, status=response.status, headers=headers)


class DjangoBody:
    """The `RequestBody` of a request that Django, or a middleware, may have read before.

    Django's own bound, `DATA_UPLOAD_MAX_MEMORY_SIZE`, is not ours: it only applies to `request.body`.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    async def read(self, limit: int) -> bytes:
        try:
            body: bytes = self._request.read(limit + 1)
        except UnreadablePostError:
            raise ClientDisconnectedError from None
        return body


class AsyncBody:
    """A stream in the form that Django iterates over and closes."""

    def __init__(self, body: StreamBody) -> None:
        self._body = body
        # Where its client leaves between the view and the first byte, Django drops an answer without closing it.
        self.close = finalize(self, close_soon, body, asyncio.get_running_loop())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await self._body.__anext__()


def close_soon(body: StreamBody, loop: asyncio.AbstractEventLoop) -> None:
    """Close a stream on its own event loop: Django closes answers in a thread."""
    if not loop.is_closed():
        asyncio.run_coroutine_threadsafe(body.aclose(), loop)
