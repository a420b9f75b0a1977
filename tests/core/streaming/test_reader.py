"""What direct calls raise: the failures of HTTP, as exceptions."""

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from completions_mw import Gateway, GatewayError, InternalError, RateLimitError, Settings, UpstreamError
from tests.support import upstream_answers as answers
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext

CANARY = "canary"
HELLO = [{"role": "user", "content": "hi"}]


async def unreadable(x: RequestContext) -> None:
    """Answer with log probabilities that are none."""
    if x.stream:
        await x.start()
        await x.pieces(answers.events([_spoilt(chunk) if chunk["choices"] else chunk for chunk in answers.chunks(x.body)]))
        return await x.end()
    await x.reply_json(_spoilt(answers.completion(x.body)))


def _spoilt(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "choices": [{**choice, "logprobs": CANARY} for choice in answer["choices"]]}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with MockUpstream({"unreadable": unreadable}) as upstream:
        tree: dict[str, Any] = {
            "providers": {"up": {"api": "openai", "base_url": upstream.url}},
            "models": {"unreadable": {"targets": ["up/unreadable"]}},
        }
        with Gateway(Settings(**tree), models={"bug": bug, "busy": busy, "breaks": breaks}) as gateway:
            yield gateway


def breaks(_: object) -> Iterator[str]:
    yield "word "
    raise KeyError(CANARY)


def bug(_: object) -> str:
    raise KeyError(CANARY)


def busy(_: object) -> str:
    raise RateLimitError("slow down")


def complete(gateway: Gateway, model: str) -> None:
    gateway.complete(model=model, messages=HELLO)


def stream(gateway: Gateway, model: str) -> None:
    with gateway.stream(model=model, messages=HELLO) as chunks:
        list(chunks)


every_call = pytest.mark.parametrize("call", [complete, stream])
Call = Callable[[Gateway, str], None]


@every_call
def test_an_upstreams_answer_that_cannot_be_read_is_its_fault(gateway: Gateway, call: Call) -> None:
    with pytest.raises(UpstreamError) as caught:
        call(gateway, "unreadable")
    assert caught.value.code == "upstream_protocol_error"
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@every_call
@pytest.mark.parametrize("model", ["bug", "breaks"])
def test_a_fault_of_a_function_is_an_internal_error_with_its_cause(gateway: Gateway, call: Call, model: str) -> None:
    with pytest.raises(InternalError) as caught:
        call(gateway, model)
    assert isinstance(caught.value.__cause__, KeyError)


@every_call
def test_what_a_function_refuses_arrives_as_it_is(gateway: Gateway, call: Call) -> None:
    with pytest.raises(GatewayError, match="slow down") as caught:
        call(gateway, "busy")
    assert type(caught.value) is RateLimitError
