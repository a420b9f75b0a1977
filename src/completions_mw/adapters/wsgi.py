"""Adapter for WSGI apps: `app = CompletionsMiddleware(app, gateway)`."""

import ssl
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import werkzeug

from completions_mw.adapters.support import check_gateway
from completions_mw.adapters.wsgi_client import ClientSocket, WSGIBody, shut_down, write_at_once
from completions_mw.blocking import BlockingIterator
from completions_mw.core.validation.body_room import BodyRoom
from completions_mw.gateway import Gateway
from completions_mw.http import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ENTITY_HEADERS = (("CONTENT_TYPE", "content-type"), ("CONTENT_LENGTH", "content-length"))
"""Variables of an environ that hold headers and have no prefix `HTTP_`, and the names of their headers."""
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class CompletionsMiddleware:
    """WSGI middleware that answers the gateway's paths and passes all other requests to the host app.

    Args:
        app: the host app; None for a gateway without a host app, which answers every request.
        gateway: answers the requests.

    Raises:
        TypeError: `gateway` is not a `Gateway`.
    """

    def __init__(self, app: "WSGIApplication | None", gateway: Gateway) -> None:
        check_gateway(gateway, Gateway)
        self._app = app
        self._gateway = gateway

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = to_request(environ, self._gateway.body_room)
        if self._app is not None and not self._gateway.owns(request.method, request.path):
            if self._gateway.lacks(request.path):
                return self._found_or_refused(self._app, environ, start_response, request)
            return self._app(environ, start_response)
        if environ.get("wsgi.multiprocess"):
            self._gateway.note_processes()
        write_at_once(environ)
        return to_wsgi(self._gateway.handle(request), start_response)

    def _found_or_refused(
        self, app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse", request: Request
    ) -> Iterable[bytes]:
        found = werkzeug.Response.from_app(app, environ)
        if found.status_code != HTTPStatus.NOT_FOUND:
            return found(environ, start_response)
        found.close()
        return to_wsgi(self._gateway.refuse(request.method, request.path), start_response)


def to_request(environ: "WSGIEnvironment", room: BodyRoom, native: object = None) -> Request:
    """Return the `Request` for a WSGI environ.

    Args:
        environ: the environ of a request.
        room: memory for the bodies of all requests.
        native: request object of the framework; the environ by default.
    """
    headers = [(header_of(name), value) for name, value in environ.items() if name.startswith("HTTP_")]
    if "HTTP_CONTENT_LENGTH" in environ or "HTTP_CONTENT_TYPE" in environ:
        # Copies of the variables without the prefix, which nginx gives uWSGI, and Twisted its apps.
        headers = [header for header in headers if header[0] not in ("content-length", "content-type")]
    headers += [(header, environ[name]) for name, header in ENTITY_HEADERS if environ.get(name)]
    return Request(
        method=environ["REQUEST_METHOD"],
        path=environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace"),
        headers=tuple(headers),
        body=WSGIBody(environ, room),
        client=environ.get("REMOTE_ADDR"),
        native=environ if native is None else native,
        connection=_connection(environ),
        disconnect=_disconnect(environ),
    )


@lru_cache(maxsize=1024)
def header_of(variable: str) -> str:
    """Return the name of the header in a variable of an environ, as `HTTP_USER_AGENT`. Most clients send the same ones."""
    return variable[5:].replace("_", "-").lower()


def to_wsgi(response: Response[BlockingIterator[bytes]] | Response[bytes], start_response: "StartResponse") -> Iterable[bytes]:
    """Start the response and return its body, as a WSGI app does."""
    start_response(STATUS_LINES.get(response.status, f"{response.status} Unknown"), headers_of(response))
    return [response.body] if isinstance(response.body, bytes) else response.body


def headers_of(response: Response[Any]) -> list[tuple[str, str]]:
    """Return the headers of a response for WSGI, without `connection`, which PEP 3333 leaves to the server."""
    return [header for header in response.headers if header[0] != "connection"]


def _connection(environ: "WSGIEnvironment") -> Any:
    sock = environ.get("gunicorn.socket")
    # The end of an encrypted connection cannot be seen without reading from it.
    return None if sock is None or isinstance(sock, ssl.SSLSocket) else ClientSocket(sock)


def _disconnect(environ: "WSGIEnvironment") -> Callable[[], None] | None:
    """Return what ends the client's connection, so that a thread which writes to it comes free."""
    sock = environ.get("gunicorn.socket")
    return None if sock is None else partial(shut_down, sock)
