"""From settings to targets."""

from collections.abc import Iterator

import pytest

from completions_mw import Settings
from completions_mw.blocking import run_sync
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
