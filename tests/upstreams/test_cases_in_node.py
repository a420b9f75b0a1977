"""The same answers, as openai-node reads them: all of them in one process of Node."""

import json
import threading
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from completions_mw import Gateway
from completions_mw.adapters.wsgi import CompletionsMiddleware
from tests.clients.node_clients import Results, install, run_script
from tests.clients.support import Endpoint
from tests.upstreams.cases import CASES
from tests.upstreams.cases.wire import Case, Form
from tests.upstreams.reading import Answered, Reading, Refused, compare
from tests.upstreams.replay import replay
from tests.upstreams.test_cases import KEY, RENAMED, fields_of, settings

ROWS = [(case, form) for case in CASES for form in case.forms]
READ = [(case, form, helped) for case, form in ROWS for helped in ((False, True) if form == "stream" else (False,))]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 512


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    install()
    with replay() as upstream, Gateway(settings(upstream)) as gateway:
        server = make_server("127.0.0.1", 0, CompletionsMiddleware(None, gateway), server_class=_Server, handler_class=_Quiet)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/api/v1", KEY)
            yield run_script("cases.mjs", endpoint, CASES=json.dumps([fields_of(case, form, RENAMED) for case, form in ROWS]))
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.mark.parametrize(
    ("case", "form", "helped"), [pytest.param(*row, id=f"{row[0].name}-{row[1]}-{'stream()' if row[2] else 'plain'}") for row in READ]
)
def test_case(results: Results, case: Case, form: Form, helped: bool) -> None:
    compare(case, reading(results[f"{RENAMED}{case.name} {form}{' helped' * helped}"]), None)


def reading(result: dict[str, Any]) -> Reading:
    if "message" in result:
        return Refused(
            result["message"], result["status"], result["code"], {"x-should-retry": "false", "retry-after": "1"}, json.dumps(result)
        )
    calls = tuple((call["name"], json.loads(call["arguments"])) for call in result["calls"])
    usage = result["usage"]
    counts = None if usage is None else (usage["prompt_tokens"], usage["completion_tokens"])
    return Answered(result["text"], result["reason"], calls, counts, result["whole"])
