import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completions_mw import Caller, Limits, Settings
from completions_mw.core.context import RequestContext
from completions_mw.core.keys.authentication import Authenticate, Authenticator
from completions_mw.core.keys.owners import owners_of
from completions_mw.core.ports import Clock
from completions_mw.core.validation.headers import parse_headers
from completions_mw.errors import AuthenticationError
from completions_mw.http import Request

KEY = "sk-canary-0123456789"
CLOCK = Clock(monotonic=lambda: 0, time=lambda: 0)
MISSING = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY)."
)


def authenticator(hook: Authenticate | None = None, now: float = 0, **key: Any) -> Authenticator:
    settings = Settings(keys={"team-a": {"secret": KEY, **key}})
    return Authenticator(owners_of(settings.keys), CLOCK._replace(time=lambda: now), hook)


def authenticate(rules: Authenticator, *authorization: str) -> tuple[Caller, bool]:
    headers = tuple(("authorization", value) for value in authorization)
    request = Request("POST", "/", headers)
    return asyncio.run(rules.authenticate(RequestContext(CLOCK), parse_headers(request), request))


def refusal(rules: Authenticator, *authorization: str) -> AuthenticationError:
    with pytest.raises(AuthenticationError) as caught:
        authenticate(rules, *authorization)
    assert caught.value.headers == (("www-authenticate", "Bearer"),)
    return caught.value


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_key_is_known_by_its_digest(scheme: str) -> None:
    assert authenticate(authenticator(tenant="acme"), f"{scheme} {KEY}") == (Caller("team-a", "acme", limits=Limits(), scope="key"), True)


@pytest.mark.parametrize("authorization", [(), ("Basic abc",), ("Bearer",), ("Bearer ",), ("",)])
def test_no_key(authorization: tuple[str, ...]) -> None:
    error = refusal(authenticator(), *authorization)
    assert (error.message, error.code) == (MISSING, None)


@pytest.mark.parametrize(
    "authorization",
    [(f"Bearer {KEY}x",), (f"Bearer {KEY}", f"Bearer {KEY}"), (f"Bearer {KEY},Bearer {KEY}",), ("Bearer " + "x" * 513,), ("Bearer ÿþ\0",)],
    ids=["wrong", "twice", "joined", "long", "not ascii"],
)
def test_an_incorrect_key(authorization: tuple[str, ...]) -> None:
    assert refusal(authenticator(), *authorization).code == "invalid_api_key"


def test_of_an_incorrect_key_only_the_ends_are_shown() -> None:
    assert refusal(authenticator(), "Bearer sk-abcdefghijklmnopxyz").message == "Incorrect API key provided: sk-ab***yz."
    assert refusal(authenticator(), "Bearer short").message == "Incorrect API key provided: ***."


@pytest.mark.parametrize("key", [{"disabled": True}, {"expires_at": "2026-01-01T00:00:00Z"}], ids=["disabled", "expired"])
def test_a_key_that_may_not_be_used_is_as_good_as_none(key: dict[str, Any]) -> None:
    assert refusal(authenticator(now=1.8e9, **key), f"Bearer {KEY}").code == "invalid_api_key"


def test_a_key_may_be_used_until_it_expires() -> None:
    assert authenticate(authenticator(now=0, expires_at="2026-01-01T00:00:00Z"), f"Bearer {KEY}")[1]


async def async_hook(request: Request) -> Caller | None:
    return Caller("anna", models=frozenset({"m"}))


@pytest.mark.parametrize(
    ("hook", "caller"),
    [
        (lambda request: "anna", Caller("anna")),
        (lambda request: 7, Caller("7")),
        (lambda request: Caller("anna", "acme"), Caller("anna", "acme")),
        (async_hook, Caller("anna", models=frozenset({"m"}))),
    ],
    ids=["id", "number", "caller", "async"],
)
def test_the_host_app_says_who_is_calling(hook: Callable[[Request], Any], caller: Caller) -> None:
    assert authenticate(authenticator(hook)) == (caller, False)
    assert authenticate(authenticator(hook), "Bearer a-token-of-the-host-app") == (caller, False)


def test_a_key_comes_before_the_host_app() -> None:
    assert authenticate(authenticator(lambda request: "anna"), f"Bearer {KEY}")[0].id == "team-a"


@pytest.mark.parametrize("token", ["x" * 600, "a,b"])
def test_the_host_app_is_asked_about_tokens_that_cannot_be_keys(token: str) -> None:
    assert authenticate(authenticator(lambda request: "anna"), f"Bearer {token}")[0].id == "anna"


@pytest.mark.parametrize("nobody", [None, "", False, 0])
def test_a_hook_that_knows_nobody(nobody: Any) -> None:
    assert refusal(authenticator(lambda request: nobody)).message == MISSING


@pytest.mark.parametrize("answer", [True, 7.0, b"anna", {"id": "anna"}, ["anna"], object()], ids=lambda answer: type(answer).__name__)
def test_a_hook_that_answers_with_something_else(answer: Any) -> None:
    with pytest.raises(TypeError, match=f"returned {type(answer).__name__}") as caught:
        authenticate(authenticator(lambda request: answer))
    assert "anna" not in str(caught.value)


@pytest.mark.parametrize("id", [None, "", 0, True, b"anna"], ids=repr)
def test_a_caller_is_somebody(id: Any) -> None:
    with pytest.raises(TypeError, match="id"):
        Caller(id)


def test_the_id_of_a_caller_may_be_a_number() -> None:
    assert Caller(7) == Caller("7")  # type: ignore[arg-type]


def test_one_model_is_not_a_set_of_models() -> None:
    with pytest.raises(TypeError, match="models"):
        Caller("anna", models="gpt-4o")  # type: ignore[arg-type]


@given(st.text(max_size=600))
def test_no_token_gets_in_or_comes_out_whole(token: str) -> None:
    error = refusal(authenticator(), f"Bearer {token}")
    shown = re.fullmatch(r"Incorrect API key provided: (.*)\.", error.message)
    assert error.message == MISSING or (shown and len(shown[1]) <= 10)
