"""`completions-mw providers`: which services are known, and what they can do."""

import json

import pytest

from completions_mw.settings.compatible import SERVICES
from completions_mw.settings.providers import UPSTREAM_KINDS
from tests.support.command_line import inside


def test_it_lists_services_and_apis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "sk-canary")
    result = inside("providers")
    lines = [line.split() for line in result.out.splitlines()]
    assert result.code == 0
    assert ["groq", "openai", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "(set)"] in [line[:5] for line in lines]
    assert "sk-canary" not in result.out
    assert max(len(line) for line in result.out.splitlines()) < 140
    names = {line[0] for line in lines[1:]}
    apis = {kind.api_name() for kind in UPSTREAM_KINDS} - {"custom"}
    assert names == apis | {service.name for service in SERVICES if service.name}


def test_json_has_what_programs_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "sk-canary")
    rows = {row["name"]: row for row in json.loads(inside("providers", "--json").out)}
    mistral = rows["mistral"]
    assert (mistral["api"], mistral["key_variable"], mistral["key_is_set"]) == ("openai", "MISTRAL_API_KEY", True)
    assert mistral["page"].startswith("https://docs.mistral.ai/")
    capabilities = mistral["capabilities"]
    assert "logit_bias" in capabilities["unsupported"]
    assert (capabilities["ranges"], capabilities["renamed"]) == ({"temperature": [0, 1.5]}, {"seed": "random_seed"})
    assert "seed outside -2147483648 to 2147483647" in rows["gemini"]["does_not_take"]
    assert rows["bedrock"]["api"] == "bedrock"
    assert rows["bedrock"]["capabilities"]["max_choices"] == 1
