"""eventlet's server, which collects 4096 bytes of a stream unless its app asks it not to (tests/servers/matrix runs it)."""

import io
import json

import pytest
from anyio.from_thread import BlockingPortal

from completions_mw import Settings
from tests.hosts.base import CHAT, Project, bearer
from tests.hosts.every import BLOCKING_HOSTS, HostMaker
from tests.support.exchange import Sent
from tests.support.wsgi_driver import WSGIServer, environ_of

KEY = "sk-canary-client-key"
SETTINGS = Settings.from_mapping({"models": {"m": {}}, "keys": {"a": {"secret": KEY}}})
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()


@pytest.mark.parametrize("make", BLOCKING_HOSTS.values(), ids=BLOCKING_HOSTS)
@pytest.mark.parametrize(("path", "asked"), [(CHAT, 0), ("/elsewhere", None)], ids=["ours", "the host's"])
def test_each_piece_is_written_as_it_comes(make: HostMaker, portal: BlockingPortal, path: str, asked: int | None) -> None:
    with make(Project(SETTINGS, portal, models={"m": lambda _: "hi"})) as host:
        assert isinstance(host.server, WSGIServer)
        headers = (*bearer(KEY), ("content-type", "application/json"), ("content-length", str(len(BODY))))
        environ = environ_of(Sent("POST", path, headers), io.BytesIO(BODY))
        pieces = host.server.app(environ, lambda status, headers: None)
        list(pieces)
        getattr(pieces, "close", lambda: None)()
    assert environ.get("eventlet.minimum_write_chunk_size") == asked
