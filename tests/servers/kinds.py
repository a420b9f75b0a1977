"""The servers, a row each."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest

WSGI = "tests.servers.wsgi_app:app"
ASGI = "tests.servers.asgi_app:app"


@dataclass(frozen=True, slots=True)
class Kind:
    """A server, and what it can and cannot do."""

    id: str
    interface: Literal["wsgi", "asgi"]
    command: tuple[str, ...]
    """`{port}` stands for the port."""
    concurrent: bool = True
    """Answers several requests at the same time."""
    shows_leaving: bool = True
    """Lets the app see at once that the client left; otherwise only a write that fails tells it."""
    streams_body: bool = True
    """Calls the app before the request's body is there."""

    def argv(self, port: int, *more: str) -> list[str]:
        """Return the command line, with `more` options."""
        return [sys.executable, *(part.format(port=port) for part in self.command), *more]


def gunicorn(id: str, *options: str, app: str = WSGI, concurrent: bool = True) -> Kind:
    quiet = ("--log-level", "warning", "--no-control-socket", "--graceful-timeout", "30")
    return Kind(id, "wsgi", ("-m", "gunicorn", app, "-b", "127.0.0.1:{port}", *quiet, *options), concurrent=concurrent)


def uvicorn(id: str, *options: str) -> Kind:
    quiet = ("--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "5")
    return Kind(id, "asgi", ("-m", "uvicorn", ASGI, "--port", "{port}", *quiet, *options))


GUNICORN_SYNC = gunicorn("gunicorn-sync", concurrent=False)
GUNICORN_GTHREAD = gunicorn("gunicorn-gthread", "-k", "gthread", "--threads", "64")
GUNICORN_GEVENT = gunicorn("gunicorn-gevent", "-k", "gevent", "--worker-connections", "1200")
WAITRESS = Kind(
    "waitress",
    "wsgi",
    ("-m", "waitress", "--listen", "127.0.0.1:{port}", "--threads", "64", WSGI),
    shows_leaving=False,
    streams_body=False,
)
UVICORN_H11 = uvicorn("uvicorn-h11", "--http", "h11", "--loop", "asyncio")
UVICORN_HTTPTOOLS = uvicorn("uvicorn-httptools", "--http", "httptools", "--loop", "uvloop")
HYPERCORN = Kind("hypercorn", "asgi", ("-m", "hypercorn", ASGI, "-b", "127.0.0.1:{port}", "--log-level", "warning"))
GRANIAN = Kind("granian", "asgi", ("-m", "granian", "--interface", "asgi", "--port", "{port}", "--log-level", "warning", "--no-ws", ASGI))
UWSGI = Kind(
    "uwsgi",
    "wsgi",
    (
        *("-c", "import pyuwsgi; pyuwsgi.run()", "--uwsgi-socket", "127.0.0.1:{port}", "--module", WSGI),
        *("--master", "--threads", "16", "--need-app", "--die-on-term", "--disable-logging"),
    ),
    shows_leaving=False,
)
"""Speaks its own protocol, with nginx in front of it."""
# These two are for development and small things, and let through what the others refuse.
CHEROOT = Kind("cheroot", "wsgi", ("-m", "cheroot", WSGI, "--bind", "127.0.0.1:{port}"), shows_leaving=False)
WERKZEUG = Kind(
    "werkzeug",
    "wsgi",
    (
        "-c",
        "from werkzeug.serving import run_simple; from tests.servers.wsgi_app import app;"
        "run_simple('127.0.0.1', {port}, app, threaded=True)",
    ),
    shows_leaving=False,
)

KINDS = (
    GUNICORN_SYNC,
    GUNICORN_GTHREAD,
    GUNICORN_GEVENT,
    WAITRESS,
    UVICORN_H11,
    UVICORN_HTTPTOOLS,
    HYPERCORN,
    GRANIAN,
)


def every(kinds: tuple[Kind, ...] = KINDS, where: Callable[[Kind], bool] = lambda kind: True) -> pytest.MarkDecorator:
    """Run a test with the fixture `server` being each of the kinds."""
    chosen = [kind for kind in kinds if where(kind)]
    return pytest.mark.parametrize("server", chosen, ids=[kind.id for kind in chosen], indirect=True)
