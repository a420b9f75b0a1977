"""From settings to targets."""

from collections.abc import Iterator

import pytest

from completions_mw import GatewayError, Settings
from completions_mw.blocking import run_sync
from completions_mw.core.dispatch.upstream_target import UpstreamTarget
from completions_mw.gateway.backends import BlockingBackends
from completions_mw.gateway.models import ModelRegistry


@pytest.fixture
def registry() -> Iterator[ModelRegistry]:
    settings = Settings(
        providers={"up": {"api": "openai"}, "echo": {"api": "echo"}},
        models={"a": {"targets": ["up/m", "echo/m"]}, "b": {"targets": ["up/m", "echo/m"]}, "c": {"targets": ["up/other"]}},
    )
    made = ModelRegistry(settings, {"models": {"f": lambda request: "hi"}}, BlockingBackends())
    yield made
    run_sync(made.aclose())


def test_models_that_name_the_same_target_share_it(registry: ModelRegistry) -> None:
    a, b, c = (registry.models[name].targets for name in "abc")
    assert [one is other for one, other in zip(a, b, strict=True)] == [True, True]
    assert c[0] is not a[0]
    assert (c[0].name, c[0].model) == ("up/other", "other")


def test_a_target_says_whether_it_is_local(registry: ModelRegistry) -> None:
    local = {target.name: target.is_local for model in registry.models.values() for target in model.targets}
    assert local == {"up/m": False, "up/other": False, "echo/m": True, "python/f": True}


@pytest.mark.parametrize(
    "provider",
    [
        {"api": "openai"},
        {"api": "azure", "base_url": "https://x.openai.azure.com"},
        {"api": "anthropic"},
        {"api": "gemini"},
        {"api": "bedrock", "region": "eu-west-1"},
    ],
    ids=lambda provider: str(provider["api"]),
)
def test_every_wire_format_sends_each_key_and_shows_none(provider: dict[str, str]) -> None:
    keys = ["key-of-ours-1", "key-of-ours-2"]
    settings = Settings(providers={"up": {**provider, "api_keys": keys}}, models={"m": {"targets": ["up/m"]}})
    [target] = ModelRegistry(settings, {}, BlockingBackends()).models["m"].targets
    assert isinstance(target, UpstreamTarget)
    for key, endpoint in zip(keys, target.endpoints, strict=True):
        assert [key in f"{endpoint.url} {endpoint.headers}" for key in keys] == [key == one for one in keys]
        error = GatewayError(" ".join(keys))
        endpoint.redact(error)
        assert error.message == "*** ***"
