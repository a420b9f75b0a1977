"""Who may ask: keys, and the host app's own login (docs/promises.md, Secrets)."""

import json

import pytest

from tests.conformance.given import DISABLED_KEY, EXPIRED_KEY, JSON, KEY, LIMITED_KEY, chat_body, post
from tests.hosts.base import CHAT, MODELS, Host, HostResponse, bearer
from tests.support.exchange import HeaderPairs

CHAT_BODY = json.dumps(chat_body()).encode()
NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY)."
)


def ask(host: Host, headers: HeaderPairs, body: bytes = CHAT_BODY) -> HostResponse:
    return host.request("POST", CHAT, (*JSON, *headers), body)


def check_refused(response: HostResponse, message: str, code: str | None) -> None:
    assert response.status == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.error == {"message": message, "type": "invalid_request_error", "param": None, "code": code}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_a_key_is_accepted_whatever_the_case_of_its_scheme(host: Host, scheme: str) -> None:
    assert ask(host, (("authorization", f"{scheme} {KEY}"),)).status == 200


NO_KEYS: dict[str, HeaderPairs] = {
    "no-header": (),
    "basic": (("authorization", "Basic dXNlcjpwYXNz"),),
    "no-token": (("authorization", "Bearer"),),
    "blank-token": (("authorization", "Bearer   "),),
    "key-without-scheme": (("authorization", KEY),),
    "x-api-key": (("x-api-key", KEY),),
    "x_api_key": (("x_api_key", KEY),),
    "cookie": (("cookie", ""),),
}


@pytest.mark.parametrize("headers", NO_KEYS.values(), ids=NO_KEYS)
def test_without_a_key_there_is_no_answer(host: Host, headers: HeaderPairs) -> None:
    check_refused(ask(host, headers), NO_KEY, None)


def test_a_key_in_the_query_counts_for_nothing(host: Host) -> None:
    assert host.request("GET", f"{MODELS}/m?api_key={KEY}").status == 401


WRONG_KEYS: dict[str, str] = {
    "unknown": "sk-unknown-0123456789abcdef",
    "expired": EXPIRED_KEY,
    "disabled": DISABLED_KEY,
    "one-letter-more": f"{KEY}0",
    "one-letter-less": KEY[:-1],
    "other-case": KEY.upper(),
    "sql": "' OR 1=1--",
    "redis": "*1\\r\\nFLUSHALL",
    "format": "%s%n{}{0.__class__}",
    "path": "../../etc/passwd",
    "lua": "]] return redis.call('FLUSHALL') --[[",
    "latin-1": "k\xe9y-\xff\xfe-\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9",
    "too-long": "x" * 513,
    "comma": f"{KEY},{KEY}",
}


@pytest.mark.parametrize("key", WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_a_wrong_key_is_refused_and_never_told_back(host: Host, key: str) -> None:
    response = ask(host, bearer(key))
    plain = len(key) in range(12, 300) and key.isascii() and key.replace("-", "").isalnum()
    shown = f"{key[:5]}***{key[-2:]}" if plain else "***"
    check_refused(response, f"Incorrect API key provided: {shown}.", "invalid_api_key")
    assert key.encode() not in response.body


def test_two_keys_are_no_key(host: Host) -> None:
    headers = (*bearer(KEY), *bearer(LIMITED_KEY))
    check_refused(ask(host, headers), "Incorrect API key provided: ***.", "invalid_api_key")


def test_nothing_of_a_stranger_is_parsed(host: Host) -> None:
    assert ask(host, bearer("sk-unknown-0123456789abcdef"), b"{" * 1000).status == 401


def test_a_model_that_is_not_allowed_does_not_exist(host: Host) -> None:
    refused = post(host, json.dumps(chat_body(model="unlisted")).encode(), key=LIMITED_KEY)
    unknown = post(host, json.dumps(chat_body(model="nowhere!")).encode(), key=LIMITED_KEY)
    assert refused.status == unknown.status == 404
    assert refused.body == unknown.body.replace(b"nowhere!", b"unlisted")
    assert post(host, CHAT_BODY, key=LIMITED_KEY).status == 200


def test_the_login_of_the_app_counts_where_there_is_no_key(host: Host) -> None:
    assert ask(host, (("cookie", "session=alice"),)).status == 200


def test_the_login_of_the_app_can_restrict_its_users(host: Host) -> None:
    guest = (("cookie", "session=guest"),)
    assert ask(host, guest).status == 200
    assert ask(host, guest, json.dumps(chat_body(model="unlisted")).encode()).error["code"] == "model_not_found"


def test_a_page_of_another_site_cannot_ask_in_its_visitors_name(host: Host) -> None:
    response = host.request("POST", CHAT, (("cookie", "session=alice"),), CHAT_BODY)
    assert (response.status, response.error["code"]) == (415, "unsupported_media_type")
