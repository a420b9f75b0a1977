"""gunicorn 22 and 23, whose threads wait for ever for the rest of a body (docs/promises.md, Hosts and servers)."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.client import PATH, chat
from tests.servers.conftest import ROOT, Upstream
from tests.servers.framing import head
from tests.support.process import free_port, serve
from tests.support.rawhttp import RawClient, request

pytestmark = pytest.mark.soak

THREADS = 4
WRONG_KEY = "Bearer sk-other"
STRANGERS = {
    "whole": request(PATH, b" " * 20_000, ("authorization", WRONG_KEY)),
    "in part": head("content-length: 200000", authorization=WRONG_KEY) + b" " * 20_000,
    "in part, chunked": head("transfer-encoding: chunked", authorization=WRONG_KEY) + b"30d40\r\n" + b" " * 20_000,
}
RUN = "import sys; from gunicorn.app.wsgiapp import run; sys.exit(run())"


@pytest.fixture(scope="module", params=["22.0.0", "23.0.0"])
def packages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one version of gunicorn, which comes before that of the tests."""
    folder = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), f"gunicorn=={request.param}"]
    subprocess.run(command, check=True)
    return folder


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_strangers_hold_no_thread(packages: Path, one_upstream: Upstream, stranger: bytes) -> None:
    port = free_port()
    options = ["-k", "gthread", "--threads", str(THREADS), "-b", f"127.0.0.1:{port}", "--log-level", "warning"]
    env = {"UPSTREAM_URL": one_upstream.url, "PYTHONPATH": f"{packages}:{ROOT}"}
    command = [sys.executable, "-c", RUN, *options, "tests.servers.wsgi_app:app"]
    with serve(command, ready=port, env=env, cwd=ROOT), contextlib.ExitStack() as stack:
        for _ in range(THREADS):
            client = stack.enter_context(RawClient(port))
            assert client.exchange(stranger).status == 401
        with RawClient(port) as client:
            assert client.exchange(chat("ok")).status == 200
