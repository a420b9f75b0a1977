"""Where the gateway is found in a host app, and that everything else stays the app's (docs/promises.md, Hosts and servers)."""

import json

import pytest

from tests.conformance.given import JSON, KEY, chat_body
from tests.hosts.base import CHAT, EMBEDDINGS, HELLO, MODELS, OWN_FILES, PREFIX, Host, bearer

CHAT_BODY = json.dumps(chat_body()).encode()
HEADERS = (*bearer(KEY), *JSON)


def test_the_pages_of_the_app_stay_its_own(host: Host) -> None:
    response = host.request("GET", "/hello")
    assert (response.status, response.body) == (200, HELLO)
    assert "x-request-id" not in response.headers


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nowhere",
        PREFIX,
        f"{PREFIX}/chat",
        f"{PREFIX}/embeddings/",
        f"{CHAT}/",
        f"/{CHAT}",
        f"{PREFIX}//chat/completions",
        CHAT.upper(),
        f"{CHAT};x",
        f"{CHAT}/x",
        f"{PREFIX}/./chat/completions",
        f"{PREFIX}/chat/../chat/completions",
        f"/x{CHAT}",
        f"{MODELS}/",
        f"{CHAT}\N{ZERO WIDTH SPACE}",
        f"{CHAT}\n",
    ],
)
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_other_paths_are_the_apps(host: Host, verb: str, path: str) -> None:
    response = host.request(verb, path, HEADERS, CHAT_BODY if verb == "POST" else b"")
    assert response.status in (307, 404)
    assert "x-request-id" not in response.headers


@pytest.mark.parametrize("path", ["/responses", "/completions", "/images/generations", "/v1/chat/completions"])
def test_an_api_that_is_not_here_is_refused_with_a_hint(host: Host, path: str) -> None:
    response = host.request("POST", PREFIX + path, HEADERS, CHAT_BODY)
    hint = f"this server has POST {CHAT}, POST {EMBEDDINGS} and GET {MODELS}; the base URL of clients ends with {PREFIX}"
    message = f"Invalid URL (POST {PREFIX}{path}) (HINT: {hint})."
    assert response.status == 404
    assert response.error == {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    assert response.headers["x-completions-error-source"] == "gateway"
    assert response.headers["x-request-id"].startswith("req_")


def test_a_page_of_the_app_at_such_a_path_stays_its_own(host: Host) -> None:
    response = host.request("GET", OWN_FILES)
    assert (response.status, response.body, "x-request-id" in response.headers) == (200, HELLO, False)


def test_other_verbs_on_the_apps_pages_are_the_apps(host: Host) -> None:
    assert "x-request-id" not in host.request("DELETE", "/hello").headers


def test_the_app_may_be_mounted_itself(host: Host) -> None:
    assert host.request("POST", CHAT, HEADERS, CHAT_BODY, mount="/apps/one").status == 200
    assert host.request("GET", f"{MODELS}/org/model", bearer(KEY), mount="/apps/one").json()["id"] == "org/model"
    assert host.request("GET", "/hello", mount="/apps/one").body == HELLO


def test_a_mount_point_that_looks_like_ours_is_not_taken_for_it(host: Host) -> None:
    response = host.request("POST", "/hello", HEADERS, CHAT_BODY, mount=CHAT)
    assert "x-request-id" not in response.headers
    assert host.request("POST", CHAT, HEADERS, CHAT_BODY, mount=CHAT).status == 200
