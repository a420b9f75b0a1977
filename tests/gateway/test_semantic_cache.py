"""The hook for answers to similar requests (docs/caching.md, Semantic caching)."""

from typing import Any

import pytest

from completions_mw import ChatCompletion, ChatRequest, ConfigurationError, Gateway, Settings
from tests.support.cached_gateways import CachedGateway, HeldModel
from tests.support.grammar import check_stream


class Similar:
    """A cache of the host app, for requests that differ in their seed alone."""

    def __init__(self) -> None:
        self.kept: dict[str, ChatCompletion] = {}
        self.fault: Exception | None = None

    def lookup(self, request: ChatRequest, scope: str) -> Any:
        if self.fault is not None:
            raise self.fault
        found = self.kept.get(scope)
        return found.model_dump() if found is not None and request.seed == 3 else found

    def store(self, request: ChatRequest, scope: str, answer: ChatCompletion) -> Any:
        if self.fault is not None:
            raise self.fault
        self.kept[scope] = answer


class AsyncSimilar(Similar):
    async def lookup(self, request: ChatRequest, scope: str) -> Any:
        return super().lookup(request, scope)

    async def store(self, request: ChatRequest, scope: str, answer: ChatCompletion) -> Any:
        super().store(request, scope, answer)


@pytest.mark.parametrize("hook", [Similar, AsyncSimilar])
def test_the_app_may_find_answers_to_similar_requests(request: pytest.FixtureRequest, hook: type[Similar]) -> None:
    similar, model = hook(), HeldModel()
    with CachedGateway("async" if hook is AsyncSimilar else "blocking", {"m": model}, options={"semantic_cache": similar}) as gateway:
        replies = [
            gateway.send(key, seed=seed, stream=seed == 4) for key, seed in (("ada", 1), ("eve", 2), ("eve", 3), ("ada", 4), ("bob", 5))
        ]
        assert [reply.cache for reply in replies] == ["miss", "hit", "hit", "hit", "miss"]
        assert [reply.text for reply in replies[:3]] == ["one two 1"] * 3
        assert check_stream(replies[3].read()).texts == {0: "one two 1"}
        assert {*similar.kept} == {"tenant:acme", "key:bob"}
        similar.fault = ValueError("canary")
        assert (gateway.send(seed=6).cache, model.calls) == ("miss", 3)


SIMILAR_CHOICE: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": "like it"}, "finish_reason": "stop"}
SIMILAR: dict[str, Any] = {"id": "chatcmpl-x", "created": 1, "model": "other", "choices": [SIMILAR_CHOICE]}


class Finding:
    """A cache of the host app that finds whatever it is told to."""

    found: Any = None

    def lookup(self, request: ChatRequest, scope: str) -> Any:
        return self.found

    def store(self, request: ChatRequest, scope: str, answer: ChatCompletion) -> None: ...


def test_what_the_app_finds_is_an_answer_or_a_miss() -> None:
    finding = Finding()
    forms: list[dict[str, Any]] = [{"stream": False}, {"stream": True, "stream_options": {"include_usage": True}}]
    wrong = [
        "x", 5, [1], {}, {"error": {"message": "no"}}, SIMILAR | {"choices": []}, SIMILAR | {"choices": [1]}, SIMILAR | {"created": "x"},
        *(SIMILAR | {"choices": [SIMILAR_CHOICE | part]} for part in ({"message": "x"}, {"finish_reason": 5}, {"finish_reason": "error"})),
        SIMILAR | {"choices": [SIMILAR_CHOICE | {"message": {"role": "assistant", "content": "\ud800"}}]}, SIMILAR | {"usage": "x"},
        SIMILAR | {"usage": {"prompt_tokens": "1", "completion_tokens": 2, "total_tokens": 3}}, SIMILAR | {"usage": {}},
    ]  # fmt: skip
    uncounted = [SIMILAR, SIMILAR | {"usage": {"prompt_tokens": -1, "completion_tokens": 2, "total_tokens": 1}}, ChatCompletion(**SIMILAR)]
    with CachedGateway("blocking", {"m": HeldModel()}, {"semantic_cache": finding}, stores={"ledger": "memory://"}) as gateway:
        for seed, finding.found in enumerate([*wrong, *uncounted]):
            for form in forms:
                reply = gateway.send(seed=seed + 1000 * form["stream"], **form)
                is_hit = seed >= len(wrong)
                assert (reply.status, reply.cache) == (200, "hit" if is_hit else "miss"), finding.found
                usage = check_stream(reply.read(), include_usage=True).usage if form["stream"] else reply.json()["usage"]
                assert usage == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3} or not is_hit


@pytest.mark.parametrize("charge_hits", [False, True])
def test_what_the_app_finds_has_the_price_of_the_model(charge_hits: bool) -> None:
    finding = Finding()
    model = {"cache": {"enabled": True, "charge_hits": charge_hits}, "prices": {"input": "1", "output": "1"}}
    options = {"semantic_cache": finding}
    with CachedGateway("blocking", {"m": HeldModel()}, options, models={"m": model}, stores={"ledger": "memory://"}) as gateway:
        finding.found = SIMILAR | {"usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}}
        assert gateway.send().cache == "hit"
        [row] = gateway.gateway.usage()
        assert (row.cost_nano, row.saved_nano) == ((7000, 0) if charge_hits else (0, 7000))


def test_a_semantic_cache_needs_caching_and_fits_its_gateway() -> None:
    with pytest.raises(ConfigurationError, match=r"^semantic_cache: needs `enabled`"):
        Gateway(Settings(), models={"m": HeldModel()}, semantic_cache=Similar())
    for unfit, fault in ((object(), "should have a method `lookup`"), (Similar, "`lookup` should take request, scope")):
        with pytest.raises(ConfigurationError, match=f"^semantic_cache: {fault}"):
            Gateway(Settings(cache={"enabled": True}), models={"m": HeldModel()}, semantic_cache=unfit)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"^semantic_cache: async methods need"):
        Gateway(Settings(cache={"enabled": True}), models={"m": HeldModel()}, semantic_cache=AsyncSimilar())
