"""Who refused: the gateway or the upstream, for clients and for direct calls (docs/errors.md)."""

import pytest

from completions_mw import Gateway, GatewayError, PermissionDeniedError, Settings
from completions_mw.errors import ErrorSource
from tests.support.upstream import MockUpstream

HELLO = [{"role": "user", "content": "one two three"}]


def refuse(request: object) -> str:
    raise PermissionDeniedError("Not on weekends.")


@pytest.mark.parametrize(
    ("model", "source", "target"),
    [
        ("nobody", "gateway", None),
        ("function", "gateway", "python/function"),
        ("status-400", "upstream", "up/status-400"),
        ("status-401", "upstream", "up/status-401"),
        ("unreachable", "upstream", "down/any"),
        ("trunc", "upstream", "up/trunc"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_error_says_who_refused(model: str, source: ErrorSource, target: str | None, stream: bool) -> None:
    with MockUpstream() as upstream:
        providers = {"up": {"api": "openai", "base_url": upstream.url}, "down": {"api": "openai", "base_url": "http://127.0.0.1:1/v1"}}
        names = ("status-400", "status-401", "trunc")
        models = {name: {"targets": [f"up/{name}"]} for name in names} | {"unreachable": {"targets": ["down/any"]}}
        settings = Settings(providers=providers, models=models)
        with Gateway(settings, models={"function": refuse}) as gateway, pytest.raises(GatewayError) as caught:
            _ = list(gateway.stream(model=model, messages=HELLO)) if stream else gateway.complete(model=model, messages=HELLO)
    assert (caught.value.source, caught.value.target) == (source, target)
