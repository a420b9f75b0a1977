"""The servers, bridges and hosts of the matrix, a row each: what docs/servers.md says of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.servers.kinds import (
    ASGI,
    CHEROOT,
    GRANIAN,
    GUNICORN_GTHREAD,
    HYPERCORN,
    UVICORN_HTTPTOOLS,
    WAITRESS,
    WERKZEUG,
    WSGI,
    Kind,
    gunicorn,
)
from tests.servers.matrix import apache

PACKAGES: Final = (
    "a2wsgi",
    "blacksheep",
    "bottle",
    "daphne",
    "eventlet",
    "falcon",
    "litestar",
    "mangum",
    "pyramid",
    "quart",
    "sanic",
    "twisted",
    "uvicorn-worker",
)
"""What they need beside the packages of the tests."""

HOSTS: Final = "tests.servers.matrix.hosts"
IMPORT: Final = "from tests.servers.wsgi_app import app;"
PYWSGI: Final = f"from gevent import monkey; monkey.patch_all(); {IMPORT} from gevent.pywsgi import WSGIServer;"
EVENTLET: Final = f"import eventlet; eventlet.monkey_patch(); {IMPORT} from eventlet import wsgi;"

SEES_LATE: Final = {"leaving_before_the_first_byte": "only a write that fails tells it"}
NEVER_SEES: Final = {"leaving_while_the_upstream_is_silent": "takes what is written for a client that left", **SEES_LATE}
NO_CHUNKS: Final = {"chunked_body": "does not say where the body of a chunked request ends"}
TAKES_ALL: Final = {"reading_nothing": "takes the whole stream into its memory"}
NO_STOP: Final = {"stop_in_the_middle_of_a_stream": "waits for the thread of the stream, which waits for it"}
NO_PIPELINE: Final = {"pipelined_requests": "answers one of the requests"}


@dataclass(frozen=True, slots=True)
class Guest:
    """A server, or a host on one, and what it cannot do."""

    kind: Kind
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Why a check fails, by the name of its test without `test_`."""
    needs: Path = Path()
    """A file that is there if it is installed, among the packages or absolute."""


def _coded(id: str, code: str) -> Kind:
    return Kind(id, "wsgi", ("-c", code))


def _on_uvicorn(name: str, **cannot: str) -> Guest:
    options = (f"{HOSTS}:{name}", "--factory", "--port", "{port}", "--log-level", "warning", "--no-access-log")
    return Guest(Kind(name, "asgi", ("-m", "uvicorn", *options, "--timeout-graceful-shutdown", "5")), cannot)


def _on_gunicorn(name: str, **cannot: str) -> Guest:
    options = (f"{HOSTS}:{name}()", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "32", "--log-level", "warning")
    return Guest(Kind(name, "wsgi", ("-m", "gunicorn", *options, "--no-control-socket")), cannot)


DAPHNE = Kind("daphne", "asgi", ("-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "-v", "0", ASGI))
HYPERCORN_WSGI = Kind("hypercorn-wsgi", "wsgi", ("-m", "hypercorn", f"wsgi:{WSGI}", "-b", "127.0.0.1:{port}", "--log-level", "warning"))
GRANIAN_WSGI = Kind(
    "granian-wsgi",
    "wsgi",
    ("-m", "granian", "--interface", "wsgi", "--port", "{port}", "--log-level", "warning", "--no-ws", "--blocking-threads", "32", WSGI),
)
GEVENT_PYWSGI = _coded("gevent-pywsgi", PYWSGI + "WSGIServer(('127.0.0.1', {port}), app, log=None).serve_forever()")
EVENTLET_WSGI = _coded("eventlet", EVENTLET + "wsgi.server(eventlet.listen(('127.0.0.1', {port})), app, log_output=False)")
TWISTED = Kind(
    "twisted",
    "wsgi",
    ("-m", "twisted", "--log-level", "warn", "web", "--listen", "tcp:{port}:interface=127.0.0.1", "--wsgi", WSGI.replace(":", ".")),
)
UWSGI_HTTP = Kind(
    "uwsgi-http",
    "wsgi",
    (
        *("-c", "import pyuwsgi; pyuwsgi.run()", "--http", "127.0.0.1:{port}", "--module", WSGI, "--master", "--threads", "16"),
        *("--need-app", "--die-on-term", "--disable-logging", "--http-keepalive", "--http-auto-chunked", "--http-chunked-input"),
    ),
)
GUNICORN_ASGI = gunicorn("gunicorn-asgi", "-k", "asgi", app=ASGI)
GUNICORN_UVICORN = gunicorn("gunicorn-uvicorn-worker", "-k", "uvicorn_worker.UvicornWorker", app=ASGI)
BJOERN = _coded("bjoern", IMPORT + "import bjoern; bjoern.run(app, '127.0.0.1', {port})")
MOD_WSGI = _coded("mod_wsgi", f"from {apache.__name__} import run; run({{port}})")

GUESTS = (
    *map(Guest, (GUNICORN_GTHREAD, GUNICORN_ASGI, GUNICORN_UVICORN, UVICORN_HTTPTOOLS, HYPERCORN, GRANIAN)),
    *(Guest(kind, SEES_LATE) for kind in (GRANIAN_WSGI, WAITRESS, CHEROOT, WERKZEUG, GEVENT_PYWSGI)),
    Guest(EVENTLET_WSGI, SEES_LATE | NO_CHUNKS),
    Guest(TWISTED, SEES_LATE | NO_CHUNKS | TAKES_ALL | NO_STOP),
    Guest(DAPHNE, TAKES_ALL),
    Guest(HYPERCORN_WSGI, NEVER_SEES | NO_CHUNKS),
    Guest(UWSGI_HTTP, SEES_LATE | NO_CHUNKS | NO_PIPELINE),
    # Compiled, with libev's headers.
    Guest(BJOERN, SEES_LATE | NO_PIPELINE, needs=Path("bjoern.py")),
    Guest(MOD_WSGI, SEES_LATE | NO_CHUNKS, needs=apache.MODULE),
    *map(_on_uvicorn, ("litestar", "quart", "sanic", "blacksheep", "falcon_asgi")),
    *map(_on_gunicorn, ("falcon", "bottle", "pyramid")),
    _on_uvicorn("a2wsgi_to_asgi", **NEVER_SEES, **NO_CHUNKS),
    _on_gunicorn("a2wsgi_to_wsgi", **SEES_LATE, **NO_CHUNKS),
)
