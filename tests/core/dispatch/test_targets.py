"""An upstream's answer, over the real transport: what of an error reaches the client, and what the log is told of it."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from pydantic_core import to_json

from completions_mw.backends.http import BlockingTransport
from completions_mw.blocking import run_sync
from completions_mw.core.dispatch.targets import CallOptions, Target
from completions_mw.core.validation.request import Chat, validate
from completions_mw.errors import GatewayError
from completions_mw.gateway.backends import BlockingBackends
from completions_mw.gateway.models import ModelRegistry
from completions_mw.settings import Settings
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext

KEY = "sk-canary-upstream-key"
REPORT = {"message": f"m {KEY}", "type": f"t {KEY}", "code": f"c {KEY}", "param": f"p {KEY}"}


async def refusal(x: RequestContext) -> None:
    await x.reply_json({"error": REPORT}, status=400)


async def report(x: RequestContext) -> None:
    """Report an error in an answer with status 200."""
    body = to_json({"error": REPORT})
    await x.start()
    await x.piece(b"data: " + body + b"\n\n" if x.stream else body)
    await x.end()


async def long_code(x: RequestContext) -> None:
    await x.reply_json({"error": {**REPORT, "code": "x" * 190 + KEY}}, status=400)


async def quota(x: RequestContext) -> None:
    await x.reply_json({"error": {**REPORT, "code": "insufficient_quota"}}, status=429)


Targets = Callable[[str], Target]
SCENARIOS = {"refusal": refusal, "report": report, "long-code": long_code, "quota": quota}


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream(SCENARIOS) as server:
        yield server


@pytest.fixture
def target(upstream: MockUpstream) -> Iterator[Targets]:
    transport = BlockingTransport()
    provider = {"api": "openai", "base_url": upstream.url, "api_key": KEY}

    def make(model: str) -> Target:
        settings = Settings(providers={"up": provider}, models={"m": {"targets": [f"up/{model}"]}})
        return ModelRegistry(settings, {"transport": transport}, BlockingBackends()).models["m"].targets[0]

    yield make
    run_sync(transport.aclose())


def chat(**fields: Any) -> Chat:
    return validate({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})


async def complete(target: Target) -> None:
    await target.complete(chat(), CallOptions())


async def stream(target: Target) -> None:
    source = await target.open(chat(stream=True), CallOptions())
    try:
        while True:
            await source.__anext__()
    finally:
        await source.aclose()


Call = Callable[[Target], Coroutine[Any, Any, None]]
both_ways = pytest.mark.parametrize("call", [complete, stream])


@both_ways
@pytest.mark.parametrize("model", ["refusal", "report", "long-code"])
def test_no_member_of_an_error_shows_our_key(target: Targets, model: str, call: Call) -> None:
    with pytest.raises(GatewayError) as caught:
        run_sync(call(target(model)))
    error = caught.value
    shown = (error.message, error.type, error.code, error.param, error.upstream_code, error)
    assert not any(KEY[:10] in str(text) for text in shown)
    assert error.param == "p ***"


@both_ways
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [("refusal", 400, "c ***"), ("report", 200, "c ***"), ("long-code", 400, "x" * 190 + "***"), ("quota", 429, "insufficient_quota")],
)
def test_the_log_gets_the_upstreams_own_status_and_code(target: Targets, model: str, status: int, code: str, call: Call) -> None:
    with pytest.raises(GatewayError) as caught:
        run_sync(call(target(model)))
    assert (caught.value.upstream_status, caught.value.upstream_code) == (status, code)
