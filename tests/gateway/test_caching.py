"""Identical requests cost one call of an upstream (docs/caching.md): both gateways, as their users see them."""

import gc
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from completions_mw import ChatCompletion, ConfigurationError, Gateway, NotCachedError, Settings
from completions_mw.core.inbound import openai_dialect
from tests.support.cached_gateways import KEYS, CachedGateway, HeldModel
from tests.support.grammar import check_failed_stream, check_stream
from tests.support.waiting import wait_until

Made = Callable[..., CachedGateway]


@pytest.fixture(params=["blocking", "async"])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    """Makes gateways of one kind, which are closed when the test ends."""
    opened: list[CachedGateway] = []

    def make(model: Callable[[Any], Any], **tree: Any) -> CachedGateway:
        opened.append(CachedGateway(request.param, {"m": model}, **tree).__enter__())
        return opened[-1]

    yield make
    for gateway in opened:
        gateway.__exit__(None, None, None)


def test_one_entry_serves_both_forms_whichever_filled_it(made: Made) -> None:
    model = HeldModel()
    gateway = made(model)
    for number, first in enumerate((False, True), 1):
        seed: dict[str, Any] = {"seed": number}
        sent = gateway.send(stream=first, **seed)
        assert (sent.status, sent.cache, sent.headers.get("age")) == (200, "miss", None)
        original = sent.read()
        whole, stream, counted = (
            gateway.send(**seed), gateway.send(stream=True, **seed),
            gateway.send(stream=True, stream_options={"include_usage": True}, user="x", metadata={"a": "b"}, store=False, **seed),
        )  # fmt: skip
        assert [(reply.cache, reply.headers["age"]) for reply in (whole, stream, counted)] == [("hit", "0")] * 3
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "content-length" not in stream.headers, "as for every stream"
        assert whole.headers["x-request-id"] != sent.headers["x-request-id"]
        body = whole.json()
        chunks, usage = check_stream(replayed := stream.read()), check_stream(counted.read(), include_usage=True).usage
        assert original == (replayed if first else json.dumps(body, separators=(",", ":")).encode())
        assert {chunks.texts[0], body["choices"][0]["message"]["content"]} == {f"one two {number}"}
        assert {chunk["id"] for chunk in chunks.chunks} == {body["id"]}
        assert usage == body["usage"]
        assert len(chunks.chunks) == (5 if first else 3), "the chunks are the original ones"
    assert model.calls == 2


def test_every_part_of_an_answer_survives(made: Made) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": "caf\u00e9"}'}}
    logprobs = {"content": [{"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}], "refusal": None}
    message = {"role": "assistant", "content": None, "refusal": "No.", "reasoning_content": "Hm.", "tool_calls": [call]}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 1}}
    choices = [{"index": index, "message": message, "logprobs": logprobs, "finish_reason": "tool_calls"} for index in (0, 1)]
    gateway = made(lambda _: {"choices": choices, "usage": usage, "service_tier": "default"})
    whole = gateway.send(n=2).json()
    assert (whole["choices"], whole["usage"]) == (choices, usage)
    for first in (True, False):
        seed: dict[str, Any] = {"n": 2, "seed": int(first)}
        gateway.send(stream=first, **seed).read()
        streamed = gateway.send(stream=True, stream_options={"include_usage": True}, **seed)
        chunks = check_stream(streamed.read(), include_usage=True)
        again = gateway.send(**seed).json()
        assert (again["choices"], again["usage"], again["service_tier"]) == (choices, usage, "default")
        assert chunks.usage == usage
        deltas = [choice["delta"] for chunk in chunks.chunks for choice in chunk["choices"] if choice["index"] == 1]
        assert {name for delta in deltas for name in delta} == {"role", "content", "refusal", "reasoning_content", "tool_calls"}


@pytest.mark.parametrize(
    ("settings", "requests", "calls"),
    [
        ({"when": "deterministic"}, [{}, {}, {"temperature": 0}, {"temperature": 0}, {"seed": 1}, {"seed": 1}, {"temperature": 1.0}], 5),
        ({"when": "asked"}, [{}, {}, {"control": "max-age=60"}, {"control": "max-age=60"}], 3),
        ({"scope": "key"}, [{"key": name} for name in ("ada", "eve", "bob", "ada")], 3),
        ({"scope": "tenant"}, [{"key": name} for name in ("ada", "eve", "bob", "ada", "bob")], 2),
        ({"scope": "global"}, [{"key": name} for name in ("ada", "eve", "bob")], 1),
        ({"max_entry_bytes": 200}, [{}, {}, {"stream": True}, {"stream": True}], 4),
        ({"enabled": False}, [{}, {}], 2),
        ({}, [{"control": "no-store"}, {"control": "no-store"}, {}, {"control": "no-cache"}, {}, {"control": "max-age=0"}], 5),
    ],
    ids=str,
)
def test_what_is_cached_for_whom(made: Made, settings: dict[str, Any], requests: list[dict[str, Any]], calls: int) -> None:
    model = HeldModel()
    gateway = made(model, models={"m": {"cache": {"enabled": True, "when": "always", **settings}}})
    for request in requests:
        reply = gateway.send(**request)
        reply.read()
        assert reply.status == 200
    assert model.calls == calls


def test_a_body_that_was_answered_before_is_not_parsed_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    model = HeldModel()
    asked: dict[str, Any] = {"min_p": 0.1, "stream": True, "stream_options": {"include_usage": True}}
    gateway = made(model, unknown_params="ignore")
    first = gateway.send(**asked)
    answers = {first.read()}
    second = gateway.send(**asked)
    answers |= {second.read()}
    with monkeypatch.context() as patch:
        patch.setattr(openai_dialect, "parse_json_body", None)
        again = [gateway.send(key, **asked) for key in ("ada", "eve")]
        answers |= {reply.read() for reply in again}
    assert len(answers) == 1
    assert [dict(reply.headers, **{"x-request-id": ""}) for reply in again] == [dict(second.headers, **{"x-request-id": ""})] * 2
    assert len({reply.headers["x-request-id"] for reply in (first, second, *again)}) == 4
    assert (gateway.stats().hits, model.calls) == (3, 1)


@pytest.mark.parametrize(
    ("request_", "status", "cache"),
    [
        ({"key": "bob"}, 200, "miss"),
        ({"key": "eve"}, 404, None),
        ({"control": "no-store"}, 200, "bypass"),
        ({"control": "no-cache"}, 200, "miss"),
        ({"stream": True}, 200, "hit"),
    ],
    ids=str,
)
def test_a_body_that_was_answered_before_follows_all_rules(made: Made, request_: dict[str, Any], status: int, cache: str | None) -> None:
    keys: dict[str, Any] = {name: {"secret": secret, "tenant": name} for name, secret in KEYS.items()}
    keys["eve"] |= {"tenant": "ada", "models": ["other"]}
    other = {"providers": {"echo": {"api": "echo"}}, "models": {"other": {"targets": ["echo/echo"]}}}
    gateway = made(HeldModel(), keys=keys, **other)
    assert [gateway.send().cache for _ in range(3)] == ["miss", "hit", "hit"]
    reply = gateway.send(**request_)
    reply.read()
    assert (reply.status, reply.cache) == (status, cache)
    gateway.call(gateway.gateway.cache.purge)
    assert gateway.send().cache == "miss"


@pytest.mark.parametrize("reason", ["length", "content_filter", None])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_incomplete_answers_are_not_stored(made: Made, reason: str | None, stream: bool) -> None:
    model = HeldModel("one", {"finish_reason": reason}) if reason else HeldModel("one", RuntimeError("canary"))
    gateway = made(model)
    for _ in range(2):
        reply = gateway.send(stream=stream)
        if reason is None and stream:
            assert check_failed_stream(reply.read())["code"] == "internal_error"
        else:
            reply.read()
            assert reply.status == (200 if reason else 500)
    assert (model.calls, gateway.stats().entries) == (2, 0)


def test_truncated_answers_are_stored_where_the_settings_say_so(made: Made) -> None:
    model = HeldModel("one", {"finish_reason": "length"})
    gateway = made(model, cache={"truncated": True, "when": "always"})
    assert gateway.send().text == gateway.send().text
    assert model.calls == 1


def test_only_if_cached_calls_nobody(made: Made) -> None:
    model = HeldModel()
    gateway = made(model)
    missing = gateway.send(control="only-if-cached")
    assert (missing.status, missing.headers["x-should-retry"]) == (504, "false")
    assert missing.json()["error"]["code"] == "not_cached"
    gateway.send().read()
    assert gateway.send(control="only-if-cached").cache == "hit"
    assert gateway.send(control="only-if-cached, no-store").status == 504
    assert model.calls == 1


def test_purges_and_stats(made: Made) -> None:
    gateway = made(HeldModel())
    for key in ("ada", "eve", "bob"):
        gateway.send(key).read()
    gateway.send(control="no-store").read()
    stats = gateway.stats()
    assert stats[:6] == (1, 2, 0, 1, 0, 0)
    assert (stats.entries, round(stats.hit_rate, 2)) == (2, 0.33)
    purge = gateway.gateway.cache.purge
    assert [gateway.call(purge, **which) for which in ({"tenant": "bob"}, {"key": "ada"}, {"model": "other"})] == [0, 0, 0]
    assert [gateway.call(purge, **which) for which in ({"key": "bob"}, {"tenant": "acme", "model": "m"})] == [1, 1]
    assert gateway.send().cache == "miss"
    assert gateway.call(purge) == 1


def test_direct_calls_share_the_cache_and_say_so(made: Made) -> None:
    model = HeldModel()
    gateway = made(model)
    complete, arguments = (
        gateway.gateway.complete,
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "key": "sk-ada-0123456789"},
    )
    gateway.send().read()
    answers: list[ChatCompletion] = [
        gateway.call(complete, cache=cache, **arguments) for cache in (None, "no-store", "no-cache", "max-age=9")
    ]
    assert [answer.cached for answer in answers] == [True, False, False, True]
    assert "cached" not in answers[0].model_dump()
    assert [answer.choices[0].message.content for answer in answers] == [f"one two {number}" for number in (1, 2, 3, 3)]
    with pytest.raises(NotCachedError):
        gateway.call(complete, cache="only-if-cached", seed=7, **arguments)
    for wrong in (False, 60):
        with pytest.raises(TypeError, match="`cache` should be a text"):
            gateway.call(complete, cache=wrong, **arguments)


def test_without_a_cache_nothing_is_said_of_one() -> None:
    with Gateway(Settings(), models={"m": HeldModel()}) as gateway, pytest.raises(ConfigurationError, match=r"^cache: needs `enabled`"):
        _ = gateway.cache


def test_functions_are_cached_only_if_they_are_enabled_by_themselves(made: Made) -> None:
    model = HeldModel()
    gateway = made(model, models={"m": {}})
    assert [gateway.send().cache for _ in range(2)] == [None, None]
    assert model.calls == 2


# Single flight


def test_requests_at_the_same_time_share_one_call(made: Made) -> None:
    model = HeldModel(held=1)
    gateway = made(model)
    forms: list[dict[str, Any]] = [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}]
    for seed, leader in enumerate(forms):
        model.calls = 0
        model.hold()
        first = gateway.later(seed=seed, **leader)
        gateway.wait_for_requests(1)
        others = [gateway.later(seed=seed, key=key, **form) for form in forms for key in ("ada", "eve")]
        gateway.wait_for_requests(7)
        model.release()
        replies = [first.result(), *(other.result() for other in others)]
        assert [reply.cache for reply in replies] == ["miss", *["coalesced"] * 6]
        bodies = [reply.read() for reply in replies]
        whole, streams, counted = set(bodies[1:3]), set(bodies[3:5]), set(bodies[5:7])
        assert len(whole) == len(streams) == len(counted) == 1
        assert check_stream(streams.pop()).texts == {0: "one two 1"}
        assert check_stream(counted.pop(), include_usage=True).texts == {0: "one two 1"}
        assert model.calls == 1
        assert gateway.stats().waiting == 0


def test_followers_join_a_live_stream_from_its_first_chunk(made: Made) -> None:
    model = HeldModel(held=1)
    gateway = made(model)
    leader = gateway.send(stream=True)
    began = next(leader.pieces)
    follower = gateway.send(stream=True)
    assert follower.cache == "coalesced"
    assert next(follower.pieces) == began
    model.release()
    assert began + leader.read() == began + follower.read()
    assert gateway.send(stream=True).cache == "hit"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_leader_that_leaves_does_not_stop_the_others(made: Made, stream: bool) -> None:
    model = HeldModel(held=1)
    gateway = made(model)
    leader = gateway.send(stream=True)
    next(leader.pieces)
    follower = gateway.later(stream=stream)
    gateway.wait_for_requests(2)
    leader.close()
    model.release()
    reply = follower.result()
    answered = reply.read()
    assert (check_stream(answered).texts[0] if stream else json.loads(answered)["choices"][0]["message"]["content"]) == "one two 1"
    assert (model.calls, model.stopped) == (1, 0)


def test_a_call_stops_when_the_last_request_leaves(made: Made) -> None:
    model = HeldModel(held=2)
    gateway = made(model)
    replies = [gateway.send(stream=True), gateway.send(stream=True)]
    for reply in replies:
        next(reply.pieces)
        reply.close()
    assert gateway.stats()[4:6] == (0, 0)
    model.release()
    assert gateway.send().text == "one two 2", "nothing of a call that was stopped is served"


def test_an_error_of_the_model_is_everybodys(made: Made) -> None:
    model = HeldModel(ValueError("canary"), held=0)
    gateway = made(model)
    replies = [gateway.later(stream=index % 2 == 0) for index in range(6)]
    gateway.wait_for_requests(6)
    model.release()
    assert [reply.result().status for reply in replies] == [500] * 6
    assert model.calls == 1
    assert sorted(str(reply.result().cache) for reply in replies) == ["coalesced"] * 5 + ["miss"]
    past = gateway.send(control="no-store")
    assert (past.status, past.cache) == (500, "bypass")


def test_a_stream_that_is_cut_fails_for_everybody(made: Made) -> None:
    model = HeldModel("one", ValueError("canary"), held=1)
    gateway = made(model)
    leader, *followers = [gateway.send(stream=True) for _ in range(3)]
    whole = gateway.later()
    gateway.wait_for_requests(4)
    model.release()
    assert {check_failed_stream(reply.read())["code"] for reply in (leader, *followers)} == {"internal_error"}
    assert whole.result().status == 500
    assert gateway.stats().entries == 0


def test_followers_are_bounded(made: Made) -> None:
    model = HeldModel(held=1)
    gateway = made(model, cache={"when": "always", "max_followers": 2})
    replies = [gateway.send(stream=True) for _ in range(5)]
    assert [reply.cache for reply in replies] == ["miss", "coalesced", "coalesced", "miss", "miss"]
    model.release()
    assert sorted(check_stream(reply.read()).texts[0] for reply in replies) == [f"one two {number}" for number in (1, 1, 1, 2, 3)]


def test_followers_do_not_wait_for_ever(made: Made) -> None:
    model = HeldModel(held=0)
    gateway = made(model, cache={"when": "always", "max_wait": 0.01})
    leader = gateway.later()
    gateway.wait_for_requests(1)
    follower = gateway.later()
    wait_until(lambda: model.calls == 2)
    model.release()
    assert [leader.result().cache, follower.result().cache] == ["miss", "miss"]


def test_a_follower_that_stops_reading_slows_nobody_and_is_ended(made: Made) -> None:
    model = HeldModel(*["x" * 1000] * 100, held=1)
    gateway = made(model, cache={"when": "always", "max_entry_bytes": 5000})
    leader, stopped, other = [gateway.send(stream=True) for _ in range(3)]
    first = [next(reply.pieces) for reply in (leader, stopped, other)]
    model.release()
    both = [first[0]], [first[2]]
    for piece, same in zip(leader.pieces, other.pieces, strict=True):
        both[0].append(piece)
        both[1].append(same)
    assert both[0] == both[1]
    assert len(check_stream(b"".join(both[0])).texts[0]) == 100_001
    leader.close()
    other.close()
    assert check_failed_stream(first[1] + stopped.read())["code"] == "slow_reader"
    assert gateway.stats()[4:7] == (0, 0, 0)


@pytest.mark.parametrize("made", ["blocking"], indirect=True)
def test_a_stream_that_is_dropped_leaves_its_flight(made: Made) -> None:
    """By a server that does not close it: the garbage collector does."""
    model = HeldModel(held=2)
    gateway = made(model)
    dropped, kept = gateway.send(stream=True), gateway.send(stream=True)
    first = next(kept.pieces)
    next(dropped.pieces)
    del dropped
    gc.collect()
    assert gateway.stats().waiting == 1
    model.release()
    assert check_stream(first + kept.read()).texts == {0: "one two 1"}
    alone = gateway.send(stream=True, seed=1)
    next(alone.pieces)
    del alone
    gc.collect()
    assert (gateway.stats().waiting, model.stopped) == (0, 1)


@pytest.mark.parametrize("made", ["blocking"], indirect=True)
def test_a_large_stream_cannot_be_joined_late(made: Made) -> None:
    """On an event loop, what a function yields at once is one piece."""
    model = HeldModel(*["x" * 1000] * 20, held=15)
    gateway = made(model, cache={"when": "always", "max_entry_bytes": 5000})
    leader = gateway.send(stream=True)
    early = gateway.send(stream=True)
    began: list[bytes] = []
    while sum(map(len, began)) < 10_000:
        began.append(next(leader.pieces))
    late = gateway.send(stream=True)
    assert [leader.cache, early.cache, late.cache] == ["miss", "coalesced", "miss"]
    model.release()
    assert check_stream(b"".join(began) + leader.read()).texts[0].endswith("x1")
    assert check_stream(late.read()).texts[0].endswith("x2")
    early.close()


@pytest.mark.soak
def test_two_hundred_followers_of_one_live_stream(made: Made) -> None:
    model = HeldModel(*[f"word {number} " for number in range(1500)], held=1)
    gateway = made(model)
    replies = [gateway.send(stream=True) for _ in range(201)]
    assert Counter(reply.cache for reply in replies) == {"miss": 1, "coalesced": 200}
    with ThreadPoolExecutor(201) as readers:
        reading = [readers.submit(reply.read) for reply in replies]
        model.release()
        bodies = {body.result() for body in reading}
    assert len(bodies) == 1, "the same bytes for all"
    check_stream(bodies.pop())
    assert (model.calls, gateway.stats()[4:6]) == (1, (0, 0))
