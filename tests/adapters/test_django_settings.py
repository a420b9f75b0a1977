"""What the settings of a Django project say of the gateway: names, dotted paths, and overrides in tests."""

from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from django.test.utils import override_settings
from django.urls import reverse

from completions_mw import ChatCompletion, ChatRequest, ConfigurationError, EmbeddingRequest
from completions_mw.providers.endpoint import Endpoint, endpoint_of
from completions_mw.settings.providers import CustomSettings
from tests.adapters.django_project import every_server, host
from tests.adapters.given import CHAT_BODY, HEADERS, TREE, USER_HEADERS, settings
from tests.hosts import django
from tests.hosts.base import CHAT, EMBEDDINGS, Host, Project
from tests.support.toy_format import ToyFormat


@every_server
def test_settings_are_a_mapping_and_dotted_paths(portal: BlockingPortal, is_async: bool) -> None:
    more: dict[str, Any] = {
        "COMPLETIONS_MW": TREE,
        "COMPLETIONS_MW_AUTHENTICATE": "tests.adapters.django_project.user_of",
        "COMPLETIONS_MW_MODELS": {"my-bot": f"{__name__}.greet"},
        "COMPLETIONS_MW_EMBEDDINGS": {"my-embed": f"{__name__}.lengths"},
    }
    with host(portal, is_async, **more) as project:
        answer = project.request("POST", CHAT, USER_HEADERS, CHAT_BODY.replace(b'"m"', b'"my-bot"'))
        vectors = project.request("POST", EMBEDDINGS, USER_HEADERS, b'{"model": "my-embed", "input": "four"}')
    assert vectors.json()["data"] == [{"object": "embedding", "index": 0, "embedding": [4.0]}]
    assert answer.json()["choices"][0]["message"]["content"] == "hello"


@every_server
def test_providers_have_the_projects_formats_and_tokens(portal: BlockingPortal, is_async: bool) -> None:
    more: dict[str, Any] = {
        "COMPLETIONS_MW": {
            "providers": {"own": {"api": "custom", "format": "shown", "base_url": "http://127.0.0.1:9"}},
            "models": {"m": {"targets": ["own/x"]}},
        },
        "COMPLETIONS_MW_AUTHENTICATE": lambda request: "ada",
        "COMPLETIONS_MW_PROVIDERS": {"shown": f"{__name__}.Shown"},
        "COMPLETIONS_MW_CREDENTIALS": {"own": f"{__name__}.no_token"},
    }
    with host(portal, is_async, **more) as project:
        answer = project.request("POST", CHAT, USER_HEADERS, CHAT_BODY)
    assert (answer.status, answer.json()["error"]["code"]) == (503, "upstream_credentials_error")


class Shown(ToyFormat):
    """A wire format whose providers need no password."""

    def build_endpoint(self, settings: CustomSettings) -> Endpoint:
        return endpoint_of(settings, settings.base_url, {})


async def no_token() -> str:
    raise LookupError("nobody is logged in")


def greet(request: object) -> str:
    return "hello"


def lengths(request: EmbeddingRequest) -> list[list[int]]:
    return [[len(one)] for one in request.inputs]


def test_a_project_without_settings_is_told_so(portal: BlockingPortal) -> None:
    with (
        pytest.raises(ConfigurationError, match=r"^settings\.COMPLETIONS_MW: is not set"),
        host(portal, False, COMPLETIONS_MW=None),
    ):
        pass


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "slip": (
        {"COMPLETIONS_MW_AUTHENTICATOR": greet},
        "COMPLETIONS_MW_AUTHENTICATOR: is not a setting of completions_mw; did you mean `COMPLE",
    ),
    "unknown": ({"COMPLETIONS_MW_X": 1}, "COMPLETIONS_MW_X: is not a setting of completions_mw; "),
    "module": ({"COMPLETIONS_MW_AUTHENTICATE": "no.such.thing"}, "COMPLETIONS_MW_AUTHENTICATE: No module named 'no'"),
    "attribute": ({"COMPLETIONS_MW_ON_BUDGET": f"{__name__}.nothing"}, "COMPLETIONS_MW_ON_BUDGET: Module "),
    "path": ({"COMPLETIONS_MW_MODELS": {"bot": "greet"}}, "COMPLETIONS_MW_MODELS['bot']: greet doesn't look like a module path"),
    "number": ({"COMPLETIONS_MW_MODELS": {"bot": 7}}, "COMPLETIONS_MW_MODELS['bot']: should be a function or its dotted path, not int"),
    "cache": (
        {"COMPLETIONS_MW_SEMANTIC_CACHE": f"{__name__}.greet"},
        "COMPLETIONS_MW_SEMANTIC_CACHE: should be an object with `lookup` and `store`",
    ),
    "list": ({"COMPLETIONS_MW_MODELS": [greet]}, "COMPLETIONS_MW_MODELS: should be a mapping of names to functions"),
}


@pytest.mark.parametrize(("more", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_named(portal: BlockingPortal, more: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught, host(portal, False, **more):
        pass
    assert str(caught.value).startswith(f"settings.{text}")


class LastAnswer:
    """A cache that takes every request for like the last one."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def lookup(self, request: ChatRequest, scope: str) -> Any:
        return self.kept.get(scope)

    def store(self, request: ChatRequest, scope: str, answer: ChatCompletion) -> None:
        self.kept[scope] = answer


class AsyncLastAnswer(LastAnswer):
    async def lookup(self, request: ChatRequest, scope: str) -> Any:
        return super().lookup(request, scope)

    async def store(self, request: ChatRequest, scope: str, answer: ChatCompletion) -> None:  # type: ignore[override]
        super().store(request, scope, answer)


@every_server
@pytest.mark.parametrize("made", [LastAnswer, AsyncLastAnswer])
def test_the_project_may_have_a_cache_for_similar_requests(portal: BlockingPortal, is_async: bool, made: type[LastAnswer]) -> None:
    own = {**TREE, "cache": {"enabled": True, "when": "always"}}
    with host(portal, is_async, COMPLETIONS_MW=own, COMPLETIONS_MW_SEMANTIC_CACHE=made()) as project:
        answers = [project.request("POST", CHAT, HEADERS, CHAT_BODY.replace(b'"hi"', text)) for text in (b'"Hello"', b'"Hi there"')]
    assert [answer.headers["x-cache"] for answer in answers] == ["miss", "hit"]
    assert answers[1].json()["choices"][0]["message"]["content"] == "Hello"


def one_model(name: str, **more: Any) -> dict[str, Any]:
    return {**TREE, "models": {name: {"targets": ["echo/m"]}}, **more}


@every_server
def test_a_test_may_override_the_settings(portal: BlockingPortal, is_async: bool) -> None:
    def asked(project: Host, path: str = CHAT, model: bytes = b"m") -> int:
        return project.request("POST", path, HEADERS, CHAT_BODY.replace(b'"m"', b'"%s"' % model)).status

    with host(portal, is_async) as project:
        assert asked(project) == 200
        with override_settings(COMPLETIONS_MW=one_model("other", prefix="/v9")):
            assert asked(project, "/v9/chat/completions", b"other") == 200
            with project.stream("POST", CHAT, HEADERS, CHAT_BODY) as answer:
                assert answer.status == 404
            assert reverse("completions_mw:chat") == "/v9/chat/completions"
        with override_settings(COMPLETIONS_MW_MODELS={"bot": greet}, COMPLETIONS_MW=one_model("m")):
            assert asked(project, model=b"bot") == 200
        assert asked(project, model=b"bot") == 404
        assert asked(project) == 200
        assert reverse("completions_mw:chat") == CHAT
        with pytest.raises(ConfigurationError, match="prefix"), override_settings(COMPLETIONS_MW=one_model("m", prefix="v9")):
            pass
        assert asked(project) == 200


def test_the_urls_have_nothing_else(portal: BlockingPortal) -> None:
    with django.configured(Project(settings(), portal)) as urls, pytest.raises(AttributeError, match="no attribute 'gatewey'"):
        _ = urls.gatewey
