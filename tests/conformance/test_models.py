"""`GET /models` and `GET /models/{id}` (docs/contract.md, Models)."""

import pytest

from tests.conformance.given import EMBEDDING_MODELS, KEY, LIMITED_KEY, UPSTREAM_MODELS
from tests.hosts.base import MODELS, Host, bearer


def card(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "completions_mw", "shutdown_date": None}


def test_a_key_sees_every_model(host: Host) -> None:
    response = host.request("GET", MODELS, bearer(KEY))
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    names = {"m", "org/model", "unlisted", "rare", "unpriced", "chain", "cached", *EMBEDDING_MODELS, *UPSTREAM_MODELS}
    listed = response.json()
    assert listed == {"object": "list", "data": [card(found["id"]) for found in listed["data"]]}
    assert {found["id"] for found in listed["data"]} == names


def test_a_limited_key_sees_what_it_may_use(host: Host) -> None:
    assert host.request("GET", MODELS, bearer(LIMITED_KEY)).json() == {"object": "list", "data": [card("m")]}


@pytest.mark.parametrize("name", ["m", "org/model"], ids=["plain", "with-slash"])
def test_one_model(host: Host, name: str) -> None:
    response = host.request("GET", f"{MODELS}/{name}", bearer(KEY))
    assert (response.status, response.json()) == (200, card(name))


@pytest.mark.parametrize(
    ("name", "key"), [("nowhere", KEY), ("unlisted", LIMITED_KEY), ("m/", KEY)], ids=["unknown", "not-allowed", "slash"]
)
def test_a_model_that_the_key_cannot_see(host: Host, name: str, key: str) -> None:
    response = host.request("GET", f"{MODELS}/{name}", bearer(key))
    message = f"The model `{name}` does not exist or you do not have access to it."
    assert response.status == 404
    assert response.error == {"message": message, "type": "invalid_request_error", "param": None, "code": "model_not_found"}


@pytest.mark.parametrize("path", [MODELS, f"{MODELS}/m"], ids=["list", "one"])
def test_strangers_see_nothing(host: Host, path: str) -> None:
    assert host.request("GET", path).status == 401


def test_the_login_of_the_app_counts_here_too(host: Host) -> None:
    assert host.request("GET", MODELS, (("cookie", "session=guest"),)).json()["data"] == [card("m")]


ODD_IDS = ["a//b", "/a", "..", "a/", " ", "%2F", "a?b#c", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\x00", "a\nb", "a\n", "x" * 5000]


@pytest.mark.parametrize("name", ODD_IDS, ids=ascii)
def test_every_id_is_the_gateways(host: Host, name: str) -> None:
    response = host.request("GET", f"{MODELS}/{name}", bearer(KEY))
    assert (response.status, response.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", [MODELS, f"{MODELS}/m"], ids=["list", "one"])
def test_no_proxy_keeps_what_a_key_may_see(host: Host, path: str) -> None:
    assert host.request("GET", path, bearer(KEY)).headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize("path", [MODELS, f"{MODELS}/m"], ids=["list", "one"])
def test_head_is_get_without_its_body(host: Host, path: str) -> None:
    get, head = (host.request(verb, path, bearer(KEY)) for verb in ("GET", "HEAD"))
    kept = ("content-type", "content-length", "cache-control")
    assert (head.status, head.body, [head.headers[name] for name in kept]) == (200, b"", [get.headers[name] for name in kept])
    assert host.request("HEAD", path).status == 401
