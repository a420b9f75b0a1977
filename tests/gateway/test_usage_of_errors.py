"""Usage that an upstream reports beside an error is what the request is charged, and no estimate (docs/promises.md, Money)."""

from collections.abc import Iterator
from typing import Any

import pytest

from completions_mw import Gateway, Settings, UpstreamError
from tests.support.canned import CannedTransport, whole
from tests.support.upstream import MockUpstream
from tests.support.upstream_answers import event
from tests.support.upstream_exchange import RequestContext

HELLO = [{"role": "user", "content": "one two three"}]
USAGE = {"prompt_tokens": 30, "completion_tokens": 40, "total_tokens": 70}
FAILURE = {"code": 502, "message": "Provider disconnected."}


def chunk(delta: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta}], **members}


OPENING = chunk({"role": "assistant", "content": "Der Zug "})
CUT = {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "error": FAILURE}
STREAMS = {
    "in-a-choice": [OPENING, {**OPENING, "choices": [CUT], "usage": USAGE}],
    "beside-it": [OPENING, {"error": FAILURE, "usage": USAGE}],
    "before-any-text": [{**OPENING, "choices": [CUT], "usage": USAGE}],
    "usage-alone": [{**OPENING, "choices": [], "usage": USAGE}, {"error": FAILURE}],
    "usage-first": [OPENING, {**OPENING, "choices": [], "usage": USAGE}, {"error": FAILURE}],
}


async def fail(x: RequestContext) -> None:
    if not x.stream:
        choice = {"index": 0, "message": {"role": "assistant", "content": "Der Zug "}, "finish_reason": "error", "error": FAILURE}
        return await x.reply_json({"id": "x", "choices": [choice], "usage": USAGE})
    await x.start()
    await x.pieces(map(event, STREAMS[x.request.model]))
    await x.end()


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with MockUpstream(dict.fromkeys(STREAMS, fail)) as upstream:
        tree: dict[str, Any] = {
            "providers": {"up": {"api": "openai", "base_url": upstream.url}},
            "models": {name: {"targets": [f"up/{name}"]} for name in STREAMS},
            "stores": {"ledger": "memory://"},
        }
        with Gateway(Settings.from_mapping(tree)) as made:
            yield made


def charged(gateway: Gateway, model: str) -> tuple[int, int, int]:
    """Return the prompt and completion tokens of a model's requests, and how many are estimates."""
    [row] = gateway.usage(model=model)
    return row.prompt_tokens, row.completion_tokens, row.estimated


@pytest.mark.parametrize("model", STREAMS)
def test_a_stream(gateway: Gateway, model: str) -> None:
    with pytest.raises(UpstreamError, match=r"Provider disconnected."):
        list(gateway.stream(model=model, messages=HELLO))
    assert charged(gateway, model) == (30, 40, 0)


def test_a_whole_answer() -> None:
    with MockUpstream({"m": fail}) as upstream:
        tree: dict[str, Any] = {
            "providers": {"up": {"api": "openai", "base_url": upstream.url}},
            "models": {"m": {"targets": ["up/m"]}},
            "stores": {"ledger": "memory://"},
        }
        with Gateway(Settings.from_mapping(tree)) as gateway:
            with pytest.raises(UpstreamError, match=r"Provider disconnected."):
                gateway.complete(model="m", messages=HELLO)
            assert charged(gateway, "m") == (30, 40, 0)


def said(reason: str, usage: dict[str, int] | None) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Der Zug faehrt"}, "finish_reason": reason}
    return {"id": "x", "object": "chat.completion", "choices": [choice], **({} if usage is None else {"usage": usage})}


@pytest.mark.parametrize(
    ("maybe_billed", "usage", "rest", "tokens"),
    [
        (True, USAGE, 200, (60, 80, 0)),
        (True, USAGE, 500, (30, 40, 0)),
        (True, None, 200, (39, 44, 1)),
        (True, None, 500, (9, 4, 1)),
        (False, USAGE, 200, (30, 40, 0)),
        (False, None, 200, (9, 4, 1)),
    ],
    ids=[
        "reported",
        "reported, and nobody answers",
        "not reported",
        "not reported, and nobody answers",
        "only one",
        "only one, not reported",
    ],
)
def test_a_cut_answer_before_that_of_another_target(
    maybe_billed: bool, usage: dict[str, int] | None, rest: int, tokens: tuple[int, int, int]
) -> None:
    """A second answer is asked for only where it was reserved too."""
    replies = {"http://a.test": whole(said("abort", usage)), "http://b.test": whole(said("stop", USAGE), rest)}
    transport = CannedTransport(lambda request: replies[request.url.removesuffix("/chat/completions")])
    tree: dict[str, Any] = {
        "providers": {name: {"api": "openai", "base_url": f"http://{name}.test"} for name in "ab"},
        "models": {"m": {"targets": ["a/m", "b/m"]}},
        "retries": {"attempts": 1, "maybe_billed": maybe_billed},
        "stores": {"ledger": "memory://"},
    }
    with Gateway(Settings.from_mapping(tree), transport=transport) as gateway:
        try:
            assert gateway.complete(model="m", messages=HELLO).choices[0].finish_reason == "stop"
        except UpstreamError:
            assert rest == 500 or not maybe_billed
        assert charged(gateway, "m") == tokens
