"""Calls a WSGI app as a server does, and checks both sides against PEP 3333."""

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from http import HTTPMethod
from types import TracebackType
from typing import Any, Self
from wsgiref.util import is_hop_by_hop
from wsgiref.validate import validator

from tests.support.exchange import HeaderPairs, Sent

WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class WSGIServer:
    """A `Server` for WSGI; the app runs in the test's own thread."""

    def __init__(self, app: WSGIApp) -> None:
        self.app = app

    def send(self, request: Sent) -> "WSGIAnswer":
        # The validator itself fails over lengths and verbs that real servers let pass.
        valid = dict(request.headers).get("content-length", "0").isdecimal() and request.method in {*HTTPMethod}
        return WSGIAnswer(validator(self.app) if valid else self.app, request)


class WSGIAnswer:
    """An `Answer`. The app computes a piece when the test asks for one."""

    def __init__(self, app: WSGIApp, request: Sent) -> None:
        self._input = io.BytesIO(b"".join(request.body))
        self._body = app(environ_of(request, self._input), self._start)
        self._pieces = iter(self._body)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], object]:
        self.status = int(status.split(" ")[0])
        self.headers = {name.lower(): value for name, value in headers}
        assert not [name for name in self.headers if is_hop_by_hop(name)]
        assert len(self.headers) == len(headers)
        return _no_write

    @property
    def taken(self) -> int:
        return self._input.tell()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        getattr(self._body, "close", _nothing_to_close)()


def environ_of(request: Sent, body: io.BytesIO) -> dict[str, Any]:
    """Return the environ of a request; a header that came twice is joined, as most servers do."""
    chunked = {} if "content-length" in dict(request.headers) or not request.body else {"wsgi.input_terminated": True}
    return {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": request.mount,
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **chunked,
        **_headers(request.headers),
    }


def _headers(pairs: HeaderPairs) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    return headers


def _nothing_to_close() -> None:
    """Stands for the `close` of a body that is a list."""


def _no_write(data: bytes) -> None:
    raise AssertionError("the write callable is for old apps only")
