"""No parameter of OpenAI's API is lost without a word: a wire format translates it, or names it in its capabilities."""

from typing import Any

import pytest

from completions_mw.core.dispatch.parameters import TargetParams
from completions_mw.core.validation.request import Chat, validate
from completions_mw.schemas import ChatRequest
from tests.providers.corpus import FORMATS
from tests.providers.corpus.replay import upstream

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
VALUES: dict[str, dict[str, Any]] = {
    "functions": {"functions": [{"name": "f", "parameters": {"type": "object"}}]},
    "function_call": {"functions": [{"name": "f", "parameters": {"type": "object"}}], "function_call": "none"},
    "tools": {"tools": [TOOL]},
    "tool_choice": {"tools": [TOOL], "tool_choice": "required"},
    "parallel_tool_calls": {"tools": [TOOL], "parallel_tool_calls": False},
    "max_completion_tokens": {"max_completion_tokens": 77},
    "max_tokens": {"max_tokens": 77},
    "n": {"n": 2},
    "temperature": {"temperature": 0.3},
    "top_p": {"top_p": 0.3},
    "presence_penalty": {"presence_penalty": 0.3},
    "frequency_penalty": {"frequency_penalty": 0.3},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"logprobs": True, "top_logprobs": 3},
    "user": {"user": "u"},
    "seed": {"seed": 7},
    "moderation": {"moderation": {"model": "omni-moderation-latest"}},
    "safety_identifier": {"safety_identifier": "s"},
    "prompt_cache_options": {"prompt_cache_options": {"mode": "implicit", "ttl": "30m"}},
    "prompt_cache_key": {"prompt_cache_key": "k"},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "response_format": {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
    "service_tier": {"service_tier": "default"},
    "reasoning_effort": {"reasoning_effort": "high"},
    "logit_bias": {"logit_bias": {"1": 5}},
    "stop": {"stop": ["x"]},
    "store": {"store": True},
    "metadata": {"metadata": {"a": "b"}},
    "prediction": {"prediction": {"type": "content", "content": "x"}},
    "verbosity": {"verbosity": "low"},
    "modalities": {"modalities": ["text", "audio"], "audio": {"voice": "ash", "format": "wav"}},
    "audio": {"modalities": ["text", "audio"], "audio": {"voice": "ash", "format": "wav"}},
    "web_search_options": {"web_search_options": {"search_context_size": "low"}},
    "top_k": {"top_k": 5},
}
"""A value of each parameter that is not the same as leaving it out, with what it needs."""
MODELS = {"gemini": "gemini-2.5-flash", "anthropic": "claude-opus-4-5", "bedrock": "anthropic.claude-opus-4-5-20251101-v1:0"}
"""Models that have all that their API has; others may have less, and say so."""
ALWAYS = {"model", "messages", "stream", "stream_options"}


def test_every_parameter_is_here() -> None:
    assert VALUES.keys() == ChatRequest.model_fields.keys() - ALWAYS


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("api", FORMATS)
def test_translated_or_named(api: str, name: str) -> None:
    made, given = upstream(FORMATS[api]), VALUES[name]
    params = TargetParams("up/m", made.capabilities, "drop")

    def fitted(fields: dict[str, Any]) -> Chat:
        return params.fit(validate({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}))

    def sent(fields: dict[str, Any]) -> bytes:
        maximum = None if "max" in name else 2000
        request = made.wire_format.build_request(made.endpoint, made.capabilities, MODELS.get(api, "m"), fitted(fields).fields, maximum)
        return request.url.encode() + request.body

    if name not in fitted(given).dropped:
        assert sent(given) != sent({other: value for other, value in given.items() if other not in (name, "audio", "modalities")})
