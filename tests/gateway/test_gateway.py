"""What the gateways take: at construction, and in direct calls."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import pytest

from completions_mw import AsyncGateway, AuthenticationError, Caller, ConfigurationError, Gateway, NotFoundError, Request, Settings
from completions_mw.gateway.options import GatewayOptions
from completions_mw.http import UpstreamRequest, UpstreamResponse

KEY = "sk-team-0123456789"
TREE: dict[str, Any] = {
    "providers": {"local": {"api": "echo"}},
    "models": {name: {"targets": ["local/echo"]} for name in ("m", "other")},
    "keys": {"team": {"secret": KEY, "models": ["m"]}},
}
HELLO = [{"role": "user", "content": "hi"}]
both = pytest.mark.parametrize("kind", [Gateway, AsyncGateway], ids=["blocking", "async"])
Kind = type[Gateway] | type[AsyncGateway]


def no_arguments() -> str:
    return "hi"


def two_arguments(request: object, more: object) -> str:
    return "hi"


def by_keyword(*, request: object) -> str:
    return "hi"


class Bot:
    def __call__(self) -> str:
        return "hi"


MISFITS: dict[str, tuple[object, str]] = {
    "text": ("myapp.bots.answer", "should be a function, not str"),
    "answer": (7, "should be a function, not int"),
    "no-arguments": (no_arguments, "no_arguments should take the request as its one positional argument"),
    "two-arguments": (two_arguments, "two_arguments should take"),
    "by-keyword": (by_keyword, "by_keyword should take"),
    "object": (Bot(), "Bot should take"),
    "partial": (partial(no_arguments), "no_arguments should take"),
}


@both
@pytest.mark.parametrize(("function", "words"), MISFITS.values(), ids=MISFITS)
def test_a_model_that_cannot_be_called_is_refused(kind: Kind, function: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(Settings(), models={"my-bot": function})
    assert str(caught.value).startswith("models.my-bot: ")
    assert words in str(caught.value)


@both
@pytest.mark.parametrize(("hook", "gets"), [("authenticate", "request"), ("on_budget", "alert")])
@pytest.mark.parametrize(("function", "words"), MISFITS.values(), ids=MISFITS)
def test_a_hook_that_cannot_be_called_is_refused(kind: Kind, hook: str, gets: str, function: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(Settings(**TREE), **{hook: function})
    assert str(caught.value).startswith(f"{hook}: ")
    assert words.replace("the request", f"the {gets}") in str(caught.value)


def more_with_defaults(request: object, more: object = None, *rest: object, **options: object) -> str:
    return "hi"


def generator(request: object) -> Iterator[str]:
    yield "hi"


class Untold:
    """Is callable, and does not tell how."""

    __signature__ = "?"

    def __call__(self, request: object) -> str:
        return "hi"


@both
@pytest.mark.parametrize(
    "function",
    [more_with_defaults, generator, partial(two_arguments, more=1), lambda *arguments: "hi", Untold(), str],
    ids=["defaults", "generator", "partial", "any", "untold", "type"],
)
def test_whatever_takes_a_request_is_taken(kind: Kind, function: Any) -> None:
    assert kind(Settings(), models={"my-bot": function}, authenticate=function).owns("POST", "/api/v1/chat/completions")


async def wait_for(argument: object) -> str:
    return "ada"


class WaitsFor:
    async def __call__(self, argument: object) -> str:
        return "ada"


@pytest.mark.parametrize("hook", ["authenticate", "on_budget"])
@pytest.mark.parametrize("function", [wait_for, partial(wait_for), WaitsFor()], ids=["function", "partial", "object"])
def test_a_blocking_gateway_refuses_a_hook_that_nothing_can_wait_for(hook: str, function: Any) -> None:
    options: Any = {hook: function}
    with pytest.raises(ConfigurationError) as caught:
        Gateway(Settings(**TREE), **options)
    assert str(caught.value) == f"{hook}: an async function needs an AsyncGateway"
    assert AsyncGateway(Settings(**TREE), **options).owns("POST", "/api/v1/chat/completions")


@both
def test_an_option_with_a_slip_in_it_is_refused(kind: Kind) -> None:
    with pytest.raises(TypeError) as caught:
        kind(Settings(**TREE), modles={})  # type: ignore[call-arg]
    assert str(caught.value) == "`modles` is not an option of a gateway; did you mean `models`?"


@both
@pytest.mark.parametrize("name", ["models", "embeddings", "providers", "credentials"])
def test_an_option_that_should_be_a_mapping_is_refused(kind: Kind, name: str) -> None:
    options: Any = {name: [print]}
    with pytest.raises(TypeError) as caught:
        kind(Settings(**TREE), **options)
    assert str(caught.value) == f'`{name}` should be a mapping, as {{"name": …}}, not list'


@both
def test_a_transport_without_its_methods_is_refused(kind: Kind) -> None:
    options: Any = {"transport": OwnTransport}
    with pytest.raises(ConfigurationError) as caught:
        kind(Settings(**TREE), **options)
    assert str(caught.value) == "transport: `send` should take request\ntransport: `aclose` should take no argument"


@both
def test_the_help_of_an_editor_lists_the_options(kind: Kind) -> None:
    assert kind.__doc__ is not None
    assert all(f"- {name}: " in kind.__doc__ for name in GatewayOptions.__annotations__)


@both
@pytest.mark.parametrize("settings", ["completions.toml", TREE, None], ids=["path", "mapping", "none"])
def test_settings_must_be_settings(kind: Kind, settings: Any) -> None:
    with pytest.raises(TypeError, match=r"Settings\.from_toml") as caught:
        kind(settings)
    assert KEY not in str(caught.value)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(Settings(**TREE), authenticate=lambda _: "ada")


@pytest.mark.parametrize("caller", [None, "bob", 7, Caller("bob")], ids=repr)
def test_a_caller_is_named_as_the_login_names_him(gateway: Gateway, caller: Any) -> None:
    assert gateway.complete(model="other", messages=HELLO, caller=caller).choices[0].message.content == "hi"
    assert [chunk.choices[0].delta.content for chunk in gateway.stream(model="other", messages=HELLO, caller=caller)][1] == "hi"
    assert len(gateway.models(caller=caller).data) == 2


@pytest.mark.parametrize(
    ("who", "error"),
    [
        ({"caller": ""}, AuthenticationError),
        ({"caller": 0}, AuthenticationError),
        ({"caller": True}, TypeError),
        ({"caller": Request("POST", "/", ())}, TypeError),
        ({"caller": Caller("bob", models=frozenset({"m"}))}, NotFoundError),
        ({"key": KEY}, NotFoundError),
        ({"key": ""}, AuthenticationError),
        ({"key": 5}, TypeError),
        ({"key": KEY.encode()}, TypeError),
        ({"key": KEY, "caller": "bob"}, TypeError),
    ],
    ids=[
        "nobody",
        "zero",
        "true",
        "request",
        "caller-without-model",
        "key-without-model",
        "no-key",
        "number-as-key",
        "bytes-as-key",
        "both",
    ],
)
def test_nobody_is_not_the_app_itself(gateway: Gateway, who: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        gateway.complete(model="other", messages=HELLO, **who)


def test_a_stream_asks_when_its_first_chunk_is_wanted(gateway: Gateway) -> None:
    with gateway.stream(model="m", messages=HELLO, key="sk-wrong") as chunks, pytest.raises(AuthenticationError):
        next(chunks)


def test_a_whole_answer_cannot_be_a_stream() -> None:
    with Gateway(Settings(**TREE)) as gateway, pytest.raises(TypeError, match=r"use stream\(\)"):
        gateway.complete(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)


PARENT_AND_CHILD = """
import os, sys, time
from completions_mw import Gateway, RateLimitError, Settings

model = {"targets": ["echo/any"], "limits": {"concurrency": 1}}
gateway = Gateway(Settings(providers={"echo": {"api": "echo"}}, models={"m": model}, stores={"lease_ttl": 1}))
hello = [{"role": "user", "content": "one two three"}]
stream = gateway.stream(model="m", messages=hello)
next(stream)
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
until = time.monotonic() + 20
while time.monotonic() < until:
    try:
        gateway.complete(model="m", messages=hello)
    except RateLimitError:
        continue
    os._exit(0)
os._exit(1)
"""


def test_a_child_does_not_keep_what_its_parent_holds() -> None:
    """The parent's stream never ends in the child, which must not renew its place there."""
    done = subprocess.run([sys.executable, "-c", PARENT_AND_CHILD], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


class OwnTransport:
    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        raise NotImplementedError

    async def aclose(self) -> None: ...


UPSTREAM = {"api": "openai", "base_url": "http://127.0.0.1:9/v1"}
PROXIED = {**UPSTREAM, "proxy": "http://me:canary@127.0.0.1:9"}


@both
@pytest.mark.parametrize(
    ("providers", "transport", "name"),
    [
        ({"a": {"api": "echo"}}, "httptools", "httptools"),
        ({"a": UPSTREAM}, "httptools", "httptools"),
        ({"a": UPSTREAM}, "httpx2", "httpx2"),
        ({"a": PROXIED}, "httptools", "httpx2"),
        ({"a": PROXIED, "b": UPSTREAM}, "httptools", "httptools, httpx2"),
    ],
)
def test_the_transport_has_a_name(kind: Kind, providers: dict[str, Any], transport: Literal["httptools", "httpx2"], name: str) -> None:
    settings = Settings(providers=providers, models={"m": {"targets": ["a/m"]}}, transport=transport)
    assert kind(settings).transport == name


@both
def test_a_transport_that_is_given_has_the_name_of_its_class_and_goes_with_no_proxy(kind: Kind) -> None:
    models = {"m": {"targets": ["a/m"]}}
    assert kind(Settings(providers={"a": UPSTREAM}, models=models), transport=OwnTransport()).transport == "OwnTransport"
    with pytest.raises(ConfigurationError, match=r"^providers\.a\.proxy: is not used by the `transport`"):
        kind(Settings(providers={"a": PROXIED}, models=models), transport=OwnTransport())


@pytest.mark.parametrize(
    ("prefix", "path", "lacks"),
    [
        ("/api/v1", "/api/v1/responses", True),
        ("/api/v1", "/responses", False),
        ("/api/v1", "/api/v1/responses/resp_1", False),
        ("/api/v1", "/api/v1/chat/completions", False),
        ("", "/responses", False),
    ],
)
def test_paths_of_openai_that_are_not_here(prefix: str, path: str, lacks: bool) -> None:
    """Only whole paths, and only below a prefix: all others may be pages of the host app."""
    with Gateway(Settings(**TREE, prefix=prefix)) as gateway:
        assert gateway.lacks(path) is lacks
