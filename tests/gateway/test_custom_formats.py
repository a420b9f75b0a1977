"""Wire formats of the host app and of installed packages: how the settings find them."""

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from completions_mw import Gateway, Settings
from completions_mw.errors import ConfigurationError, InvalidRequestError, UpstreamError
from completions_mw.gateway import custom_formats
from completions_mw.http import UpstreamRequest
from tests.docs.pages import on
from tests.support.canned import CannedTransport, Reply, whole
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


@pytest.mark.parametrize("path", ["no.such.module:Format", "tests.support.toy_format:Nothing"])
def test_a_package_whose_format_is_broken_is_named(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(custom_formats, "entry_points", EntryPoints([EntryPoint("toy", path, custom_formats.GROUP)]).select)
    with pytest.raises(ConfigurationError, match=r"^providers\.toy\.format: `toy` cannot be imported: "):
        said(settings())


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


def example() -> dict[str, Any]:
    """Return the names that the example of docs/extending.md defines."""
    [block] = [block for block in on("docs/extending.md", "python") if "CustomFormat" in block.code]
    names: dict[str, Any] = {}
    exec(block.code, names)
    return names


@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_the_example_of_the_docs_answers(pieces: int) -> None:
    stream = b'data: {"word": "Hi "}\n\ndata: {"word": "there!"}\n\ndata: {"done": true}\n\n'

    def reply(request: UpstreamRequest) -> Reply:
        if request.url.endswith("/whole"):
            return whole({"reply": "Hi there!", "tokens": [3, 5]})
        return Reply([stream[at : at + pieces] for at in range(0, len(stream), pieces)], "text/event-stream")

    names = example()
    transport = CannedTransport(reply)
    gateway = Gateway(names["settings"], providers={"parrot": names["Parrot"]()}, transport=transport)
    hello: Any = [{"role": "user", "content": "Hello!"}]
    answer = gateway.complete(model="my-parrot", messages=hello)
    assert answer.choices[0].message.content == "Hi there!"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 8
    chunks = gateway.stream(model="my-parrot", messages=hello)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hi there!"
    assert [request.url for request in transport.requests] == [f"https://parrot.example/v1/{path}" for path in ("whole", "stream")]
    with pytest.raises(InvalidRequestError, match="temperature"):
        gateway.complete(model="my-parrot", messages=hello, temperature=0.5)


def test_a_stream_of_the_example_that_was_cut_is_an_error() -> None:
    names = example()
    transport = CannedTransport(lambda request: Reply([b'data: {"word": "Hi "}\n\n'], "text/event-stream"))
    gateway = Gateway(names["settings"], providers={"parrot": names["Parrot"]()}, transport=transport)
    with pytest.raises(UpstreamError):
        list(gateway.stream(model="my-parrot", messages=[{"role": "user", "content": "Hello!"}]))
