"""A server that gives the response of a case, chosen by the name of the model and the form that is asked for."""

import contextlib
import json
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.upstreams.cases import CASES
from tests.upstreams.cases.wire import Case, Form, Response

_CASES: Mapping[tuple[str, Form], Case] = {(case.name, form): case for case in CASES for form in case.forms}


class _Connection(socketserver.StreamRequestHandler):
    """Reads one request, and sends one response."""

    server: "Replay"

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            request = self._request()
            case = _CASES[request["model"], "stream" if request.get("stream") else "json"]
            self.server.asked[case.name] += 1
            self.wfile.write(_response(case, request).raw())

    def _request(self) -> dict[str, Any]:
        length = 0
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body: dict[str, Any] = json.loads(self.rfile.read(length))
        return body


class Replay(socketserver.ThreadingTCPServer):
    """The server, on a free port of 127.0.0.1."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.asked: Counter[str] = Counter()
        """Number of requests, by the name of the case."""

    @property
    def url(self) -> str:
        """The base URL that a provider is configured with."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextlib.contextmanager
def replay() -> Iterator[Replay]:
    """Serve for the time of a `with` block."""
    with Replay() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _response(case: Case, request: Mapping[str, Any]) -> Response:
    if case.otherwise is not None and case.refuses not in request:
        return case.otherwise
    return case.response
