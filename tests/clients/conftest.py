"""One mock upstream and one server process for all clients of a session."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from completions_mw import Gateway, Settings
from tests.clients.openai_python import Sdk, async_sdk, sync_sdk
from tests.clients.support import Endpoint
from tests.support import upstream_answers as answers
from tests.support.process import free_port, serve
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext

KEEP_ALIVE = 0.05
HERE = Path(__file__).parent
ROOT = HERE.parents[1]


async def limited(x: RequestContext) -> None:
    """Refuse as a busy provider does, and say how soon to come back."""
    refusal = answers.error("Rate limit reached for requests.", kind="requests", code="rate_limit_exceeded")
    await x.reply_json(refusal, ("retry-after-ms", "20"), ("retry-after", "1"), status=429)


async def quiet(x: RequestContext) -> None:
    """Think before the second word, and before the usage: long enough for ten keep-alives."""
    *pieces, usage, done = answers.events(answers.chunks(x.body))
    await x.start()
    for part in (pieces[:2], pieces[2:]):
        await x.pieces(part)
        await asyncio.sleep(9 * KEEP_ALIVE)
    await x.pieces([usage, done])
    await x.end()


@pytest.fixture(scope="session")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream({"limited": limited, "quiet": quiet}) as upstream:
        yield upstream


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the server finds the keys that are made while it runs."""
    return f"sqlite:///{tmp_path_factory.mktemp('ledger')}/completions.db"


@pytest.fixture(scope="session")
def operator(ledger: str) -> Iterator[Gateway]:
    """Makes keys."""
    providers, models = {"echo": {"api": "echo"}}, {"any": {"targets": ["echo/any"]}}
    with Gateway(
        Settings.from_mapping({"providers": providers, "models": models, "stores": {"ledger": ledger, "ledger_timeout": 30}})
    ) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def endpoint(upstream: MockUpstream, ledger: str) -> Iterator[Endpoint]:
    """Where the clients are pointed."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.clients.app:app", "--port", str(port), "--no-access-log"]
    env = {
        "COMPLETIONS_MW_CONFIG": str(HERE / "completions.toml"),
        "COMPLETIONS_MW_PROVIDERS__UPSTREAM__BASE_URL": upstream.url,
        "COMPLETIONS_MW_KEEP_ALIVE": str(KEEP_ALIVE),
        "COMPLETIONS_MW_STORES__LEDGER": ledger,
        "COMPLETIONS_MW_STORES__LEDGER_TIMEOUT": "30",
    }
    with serve(command, ready=port, env=env, cwd=ROOT):
        yield Endpoint(f"http://127.0.0.1:{port}/api/v1", "sk-clients-0123456789")


@pytest.fixture(scope="module", params=[sync_sdk, async_sdk], ids=["sync", "async"])
def sdk(request: pytest.FixtureRequest, endpoint: Endpoint) -> Iterator[Sdk]:
    """Each kind of client of openai-python."""
    with request.param(endpoint) as sdk:
        yield sdk
