"""`GET /models` and `GET /models/{id}` (docs/contract.md, Models)."""

import pytest

from tests.conformance.given import KEY, LIMITED_KEY, UPSTREAM_MODELS
from tests.hosts.base import MODELS, Host, bearer


def card(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "completions_mw", "shutdown_date": None}


def test_a_key_sees_every_model(host: Host) -> None:
    response = host.request("GET", MODELS, bearer(KEY))
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    names = ("m", "org/model", "unlisted", "rare", "unpriced", *UPSTREAM_MODELS)
    assert response.json() == {"object": "list", "data": [card(name) for name in names]}


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
