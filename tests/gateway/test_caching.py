"""A stored answer serves identical requests later (docs/caching.md): both gateways, as their users see them."""

import json
from typing import Any

import pytest

from completions_mw import ChatCompletion, ConfigurationError, Gateway, NotCachedError, Settings
from completions_mw.core.inbound import openai_dialect
from tests.support.cached_gateways import KEYS, HeldModel, Made
from tests.support.grammar import check_failed_stream, check_stream


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
