"""The floor on uvicorn: the fixed answer, and no upstream."""

import gc

from bench.apps.asgi import Receive, Scope, Send, read_body
from bench.wire import json_answer

_BODY = json_answer()
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await read_body(receive)
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


gc.freeze()
