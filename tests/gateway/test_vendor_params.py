"""Vendors' parameters, from the settings to the upstream, to the client and to the log."""

import json
import logging
from typing import Any

import pytest

from completions_mw import ConfigurationError, Gateway, InvalidRequestError, Settings
from completions_mw.gateway.param_policies import param_policies
from completions_mw.http import Request, Response
from completions_mw.settings.safe_params import SAFE_PARAMS
from tests.support.examples import needs_local_model
from tests.support.logs import line
from tests.support.upstream import MockUpstream

HELLO = [{"role": "user", "content": "one two three"}]
KEY = "sk-client-0123456789"


def settings(url: str = "http://up.test/v1", **more: Any) -> Settings:
    tree: dict[str, Any] = {
        "providers": {
            "up": {"api": "openai", "base_url": url},
            "narrow": {"api": "openai", "base_url": url, "forward_params": ["min_p"], "unknown_params": "ignore"},
            "openai": {"api": "openai"},
        },
        "models": {
            "ok": {"targets": ["up/ok"]},
            "narrow": {"targets": ["narrow/ok"]},
            "own": {"targets": ["openai/ok"]},
            "both": {"targets": ["up/ok", "openai/ok"]},
            "added": {"targets": ["openai/ok"], "forward_params": ["zzz"], "unknown_params": "forward"},
        },
        "keys": {"client": {"secret": KEY}},
    }
    return Settings.from_mapping(tree | more)


def test_a_model_takes_what_all_its_targets_take() -> None:
    policy = param_policies(settings())
    assert (policy("ok").unknown, policy("ok").forwarded) == ("reject", SAFE_PARAMS)
    assert (policy("narrow").unknown, policy("narrow").forwarded) == ("ignore", frozenset({"min_p"}))
    assert (policy("own").unknown, policy("own").forwarded) == ("reject", frozenset())
    assert (policy("both").unknown, policy("both").forwarded) == ("reject", frozenset())
    assert (policy("added").unknown, policy("added").forwarded) == ("forward", frozenset({"zzz"}))
    assert policy("nobody").unknown == "reject"


def test_an_api_that_is_translated_takes_none_by_itself() -> None:
    tree = {"providers": {"claude": {"api": "anthropic"}}, "models": {"ok": {"targets": ["claude/ok"]}}}
    assert param_policies(Settings.from_mapping(tree))("ok").forwarded == frozenset()


@pytest.mark.parametrize("name", ["models", "plugins", "provider", "fallbacks", "best_of", "api_base", "api_key", "route", "transforms"])
def test_what_chooses_or_costs_is_not_safe(name: str) -> None:
    assert name not in SAFE_PARAMS


def test_parameters_of_openai_are_not_forwarded_but_taken() -> None:
    providers = {"up": {"api": "openai", "base_url": "http://up.test/v1", "forward_params": ["user", "temperature", "top_k", "min_p"]}}
    forwarding = {"forward_params": ["stop", "dimensions", "service_tier"]}
    models = {
        "chat": {"targets": ["up/ok"], **forwarding},
        "vectors": {"targets": ["up/text-embedding"], **forwarding},
    }
    with pytest.raises(ConfigurationError) as caught:
        Gateway(Settings.from_mapping({"providers": providers, "models": models}))
    # The provider has models of both kinds, and `temperature` may be a vendor's own for one of them.
    named = [line.partition(" is a parameter")[0] for line in str(caught.value).splitlines() if " is a parameter" in line]
    assert [line.strip() for line in named] == [
        "models.chat.forward_params: `stop`",
        "models.vectors.forward_params: `dimensions`",
        "providers.up.forward_params: `user`",
    ]


def post(gateway: Gateway, **fields: Any) -> Response[Any]:
    headers = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"))
    return gateway.handle(Request("POST", "/api/v1/chat/completions", headers, json.dumps({"messages": HELLO, **fields}).encode()))


def test_from_the_request_to_the_upstream_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with MockUpstream() as upstream, Gateway(settings(upstream.url)) as gateway:
        assert post(gateway, model="ok", min_p=0.1).status == 200
        assert upstream.requests[-1].json["min_p"] == 0.1
        ignored = post(gateway, model="narrow", min_p=0.1, think=True)
        assert (ignored.status, dict(ignored.headers)["x-ignored-params"]) == (200, "think")
        assert upstream.requests[-1].json.keys() & {"min_p", "think"} == {"min_p"}
        direct = gateway.complete(model="narrow", messages=HELLO, think=True, min_p=0.1)
        assert (direct.ignored_params, direct.dropped_params, direct.cached) == (("think",), (), False)
        with gateway.stream(model="narrow", messages=HELLO, think=True) as chunks:
            next(chunks)
            assert chunks.ignored_params == ("think",)
        gateway.complete(model="ok", messages=HELLO, repetition_penalty=1.1)
        assert upstream.requests[-1].json["repetition_penalty"] == 1.1
        with pytest.raises(InvalidRequestError, match="Unknown parameter: 'best_of'"):
            gateway.complete(model="ok", messages=HELLO, best_of=2)
        with caplog.at_level(logging.INFO, "completions_mw.access"):
            assert post(gateway, model="ok", best_of=2).status == 400
    [record] = [record for record in caplog.records if record.name == "completions_mw.access"]
    assert (line(record)["param"], line(record)["model"]) == ("best_of", "ok")


GUIDELLM: dict[str, Any] = {
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    "max_completion_tokens": 16,
    "stop": None,
    "ignore_eos": True,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "one two three"}]}],
}
"""What GuideLLM, the benchmark of vLLM, asks for
(https://github.com/vllm-project/guidellm/blob/003104d/src/guidellm/backends/openai/request_handlers.py)."""


@pytest.mark.parametrize("unknown_params", ["forward", "reject"])
def test_what_guidellm_asks_for(unknown_params: str) -> None:
    """It is forwarded to a compatible server in any case: none of it makes an answer dearer."""
    with MockUpstream() as upstream, Gateway(settings(upstream.url, unknown_params=unknown_params)) as gateway:
        response = post(gateway, model="ok", **GUIDELLM)
        assert response.status == 200
        assert not isinstance(response.body, bytes)
        chunks = [json.loads(event[6:]) for event in b"".join(response.body).split(b"\n\n") if event.startswith(b"data: {")]
        assert chunks[-1]["usage"]["completion_tokens"] == 3
        sent = upstream.requests[-1].json
    same = {name: GUIDELLM[name] for name in ("messages", "stream", "stream_options", "ignore_eos")}
    assert sent == {"model": "ok", "max_tokens": 16, **same}


@needs_local_model
def test_llama_cpp_says_what_changes_nothing() -> None:
    own: dict[str, Any] = {"providers": {"local": {"api": "llama_cpp"}}, "models": {"m": {"targets": ["local/smollm2"]}}}
    with Gateway(settings(**own)) as gateway:
        response = post(gateway, model="m", max_tokens=1, temperature=0, verbosity="low", user="u")
        direct = gateway.complete(model="m", messages=HELLO, max_tokens=1, verbosity="low", user="u")
    assert dict(response.headers)["x-ignored-params"] == "user, verbosity"
    assert direct.ignored_params == ("user", "verbosity")


@needs_local_model
def test_what_a_target_that_failed_would_have_ignored_is_not_told() -> None:
    with MockUpstream() as upstream:
        own: dict[str, Any] = {
            "providers": {"local": {"api": "llama_cpp", "context": 64}, "up": {"api": "openai", "base_url": upstream.url}},
            "models": {"m": {"targets": ["local/smollm2", "up/ok"], "fallback_on": ["context_length"]}},
        }
        with Gateway(settings(**own)) as gateway:
            response = post(gateway, model="m", verbosity="low", messages=[{"role": "user", "content": "too long " * 2000}])
        assert (response.status, len(upstream.requests)) == (200, 1)
    assert "x-ignored-params" not in dict(response.headers)
