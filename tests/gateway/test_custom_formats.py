"""Wire formats of the host app and of installed packages: how the settings find them."""

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from completions_mw import Gateway, Settings
from completions_mw.errors import ConfigurationError
from completions_mw.gateway import custom_formats
from tests.support.canned import CannedTransport, whole
from tests.support.toy_format import ToyFormat

WHOLE = {"answer": "toy-1", "said": "one two", "used": [3, 5]}


def settings(**provider: Any) -> Settings:
    table = {"api": "custom", "base_url": "https://toy.test", "api_key": "sk-1", **provider}
    return Settings(providers={"toy": table}, models={"m": {"targets": ["toy/m"]}})


def said(settings: Settings, **options: Any) -> str | None:
    gateway = Gateway(settings, transport=CannedTransport(lambda request: whole(WHOLE)), **options)
    return gateway.complete(model="m", messages=[{"role": "user", "content": "hi"}]).choices[0].message.content


@pytest.mark.parametrize(("provider", "name"), [({}, "toy"), ({"format": "other"}, "other")])
def test_the_host_app_brings_a_format(provider: dict[str, Any], name: str) -> None:
    assert said(settings(**provider), providers={name: ToyFormat()}) == "one two"


def test_an_installed_package_brings_a_format(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("toy", "tests.support.toy_format:ToyFormat", custom_formats.GROUP)
    monkeypatch.setattr(custom_formats, "entry_points", EntryPoints([entry]).select)
    assert said(settings()) == "one two"


@pytest.mark.parametrize(
    ("formats", "words"),
    [
        ({"tay": ToyFormat()}, r"providers.toy.format: `toy` is not in `providers=` of the gateway; did you mean `tay`\?"),
        ({}, "there are none"),
        ({"toy": ToyFormat}, "providers.toy.format: `toy` should be a CustomFormat, not ABCMeta"),
    ],
)
def test_a_format_that_is_not_there_is_named(formats: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Gateway(settings(), providers=formats)
