"""The floor on gunicorn: the fixed answer, and no upstream."""

import gc
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.wire import json_answer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_BODY = json_answer()
_HEADERS = [("content-type", "application/json"), ("content-length", str(len(_BODY)))]


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    environ["wsgi.input"].read()
    start_response("200 OK", _HEADERS)
    return [_BODY]


gc.freeze()
