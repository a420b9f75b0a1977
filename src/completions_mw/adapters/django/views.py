"""The view of all paths, and the translation of requests and responses."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self
from weakref import WeakMethod, finalize

from completions_mw.adapters import wsgi
from completions_mw.adapters.asgi_request import ScopeRequest
from completions_mw.adapters.django.finishing import handle_to_the_end
from completions_mw.adapters.django.gateways import gateways
from completions_mw.adapters.support import needs
from completions_mw.adapters.wsgi_client import CountedStream, WSGIBody, discard, is_small, write_at_once
from completions_mw.core.streaming.body import StreamBody
from completions_mw.core.validation.body_room import BodyRoom, BodyShare
from completions_mw.errors import ClientDisconnectedError
from completions_mw.gateway import AsyncGateway
from completions_mw.http import Request, RequestBody, Response

with needs("django"):
    from django.conf import settings
    from django.core.handlers.asgi import ASGIRequest
    from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse, UnreadablePostError
    from django.views.decorators.csrf import csrf_exempt


@csrf_exempt  # type: ignore[untyped-decorator]
def answer(request: HttpRequest, path: str, model: str = "") -> Any:
    """Answer a request: the view of all paths. It asks the `Gateway` under WSGI, and the `AsyncGateway` under ASGI.

    It is no coroutine function, so that Django calls it directly under both; under ASGI it returns a response that Django awaits.
    """
    blocking, asynchronous = gateways()
    own_request = to_request(request, path + model, blocking.body_room)
    if not blocking.has_path(own_request.path):
        raise Http404
    # Otherwise GZipMiddleware would buffer a stream, or compress each piece as a file of its own.
    request.META.pop("HTTP_ACCEPT_ENCODING", None)
    if isinstance(request, ASGIRequest):
        return AsyncResponse(asynchronous, request, own_request)
    if request.environ.get("wsgi.multiprocess"):
        blocking.note_processes()
    write_at_once(request.environ)
    return to_django_response(blocking.handle(own_request), request)


# As the decorator `login_not_required` of Django 5.1 says it.
answer.login_required = False


@csrf_exempt  # type: ignore[untyped-decorator]
def refuse(request: HttpRequest, path: str) -> HttpResponse:
    """Refuse a request for a path of OpenAI's API that the gateway lacks."""
    return to_django_response(gateways().blocking.refuse(request.method, path), request)


refuse.login_required = False


class AsyncResponse(HttpResponse):  # type: ignore[misc]
    """A response that the gateway makes on the event loop of the server: Django awaits `render`.

    Django takes it for a response with a template and shows it to middleware with `process_template_response`, so it has what that may
    change.
    """

    template_name = None

    def __init__(self, gateway: AsyncGateway, request: HttpRequest, own_request: Request) -> None:
        super().__init__()
        # Headers that middleware sets are kept, and this is none of them.
        del self.headers["Content-Type"]
        self.context_data: dict[str, Any] = {}
        self._gateway = gateway
        self._request = request
        self._own_request = own_request

    async def render(self) -> HttpResponse:
        gateway, finishing = self._gateway, self._gateway.finishing
        own = self._own_request
        made = await (gateway.handle(own) if finishing is None else handle_to_the_end(gateway, finishing, own))
        response = to_django_response(made, self._request)
        for name, value in self.items():
            response.setdefault(name, value)
        response.cookies.update(self.cookies)
        return response


def to_request(request: HttpRequest, path: str, room: BodyRoom) -> Request:
    """Return the `Request` for a Django request.

    Args:
        request: a request under WSGI or ASGI.
        path: path of the request below the URLs that include the adapter's.
        room: memory for the bodies of all requests under WSGI.
    """
    body: RequestBody = DjangoBody(request, room)
    if isinstance(request, ASGIRequest):
        return ScopeRequest(request.scope, path, body, request, debug=settings.DEBUG)
    if not request.META.get("CONTENT_LENGTH"):
        # Django would read a chunked body as an empty one.
        body = WSGIBody(request.environ, room)
    return replace(wsgi.to_request(request.environ, room, request), path=path, body=body, debug=settings.DEBUG)


def to_django_response(response: Response[Any], request: HttpRequest) -> HttpResponse:
    """Return the Django response for a response of the gateway. The end of `request` closes a stream that no server has got."""
    headers = dict(wsgi.headers_of(response))
    if isinstance(response.body, bytes):
        return HttpResponse(response.body, status=response.status, headers=headers)
    body = AsyncBody(response.body) if isinstance(response.body, StreamBody) else response.body
    close_with(request, body.close)
    return StreamingHttpResponse(body, status=response.status, headers=headers)


def close_with(request: HttpRequest, close: Callable[[], object]) -> None:
    """Call `close` when Django closes `request`: also after a middleware that raises, whose error page replaces a response unclosed."""
    # Weak, since a request that refers to itself would wait for the garbage collector.
    close_request = WeakMethod(request.close)

    def close_both() -> None:
        close()
        if method := close_request():
            method()

    request.close = close_both


class DjangoBody:
    """The `RequestBody` of a Django request, which Django or a middleware may have read already.

    Django's setting `DATA_UPLOAD_MAX_MEMORY_SIZE` does not apply: it only bounds `request.body`.

    Args:
        request: the request of Django.
        room: memory for the bodies of all requests. Under ASGI Django has received a body before, on disk above
            `FILE_UPLOAD_MAX_MEMORY_SIZE`, and nothing else runs while it is read.
    """

    def __init__(self, request: HttpRequest, room: BodyRoom) -> None:
        self._request = request
        self._room = room

    async def read(self, limit: int) -> bytes:
        try:
            if isinstance(self._request, ASGIRequest) or is_small(self._request.environ):
                body: bytes = self._request.read(limit + 1)
                return body
            with BodyShare(self._room) as share:
                return CountedStream(self._request, share).read(limit + 1)
        except UnreadablePostError:
            raise ClientDisconnectedError from None

    async def discard(self, limit: int, seconds: float) -> bool:
        if isinstance(self._request, ASGIRequest):
            # Django has read the body.
            return True
        return discard(self._request, self._request.environ, limit, seconds)


class AsyncBody:
    """A streamed body as Django iterates over it and closes it."""

    def __init__(self, body: StreamBody) -> None:
        self._body = body
        # A finalizer, since Django drops the response without closing it if the client leaves before the first byte.
        self.close = finalize(self, close_soon, body, asyncio.get_running_loop())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await self._body.__anext__()


def close_soon(body: StreamBody, loop: asyncio.AbstractEventLoop) -> None:
    """Close a stream on its event loop. Django closes responses in a thread."""
    if not loop.is_closed():
        asyncio.run_coroutine_threadsafe(body.aclose(), loop)
