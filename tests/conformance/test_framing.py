"""What a request must look like before its JSON is looked at, and what every answer carries (docs/contract.md, Requests and Headers)."""

import json
import re

import pytest

from tests.conformance.given import JSON, KEY, MAX_BODY, chat_body, post
from tests.hosts.base import CHAT, MODELS, Host, bearer
from tests.support.exchange import HeaderPairs

CHAT_BODY = json.dumps(chat_body()).encode()
TYPES = {
    "plain": ("application/json", 200),
    "utf-8": ("application/json; charset=utf-8", 200),
    "upper-case": ("Application/JSON;charset=UTF-8", 200),
    "quoted": ('application/json; charset="utf-8"', 200),
    "text": ("text/plain", 415),
    "form": ("application/x-www-form-urlencoded", 415),
    "multipart": ("multipart/form-data; boundary=x", 415),
    "utf-16": ("application/json; charset=utf-16", 415),
    "latin-1": ("application/json; charset=iso-8859-1", 415),
    "json-lines": ("application/jsonl", 415),
    "empty": ("", 200),
}


@pytest.mark.parametrize(("content_type", "status"), TYPES.values(), ids=TYPES)
def test_bodies_are_json_in_utf_8(host: Host, content_type: str, status: int) -> None:
    response = host.request("POST", CHAT, (*bearer(KEY), ("content-type", content_type)), CHAT_BODY)
    assert response.status == status
    if status == 415:
        assert response.error["code"] == "unsupported_media_type"


def test_a_client_with_a_key_may_leave_the_type_out(host: Host) -> None:
    assert host.request("POST", CHAT, bearer(KEY), CHAT_BODY).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "x"])
def test_encoded_bodies_are_refused(host: Host, encoding: str) -> None:
    response = post(host, CHAT_BODY, (("content-encoding", encoding),))
    assert (response.status, response.error["code"]) == (415, "unsupported_content_encoding")


def test_a_body_that_says_that_it_is_too_large_is_not_read(host: Host) -> None:
    response = post(host, b"", (("content-length", str(MAX_BODY + 1)),))
    assert (response.status, response.error["code"]) == (413, "request_too_large")
    assert response.taken == 0


def test_a_body_of_the_largest_size_is_read(host: Host) -> None:
    assert post(host, CHAT_BODY.ljust(MAX_BODY)).status == 200


def test_a_chunked_body_is_read(host: Host) -> None:
    response = host.request("POST", CHAT, (*bearer(KEY), *JSON), [CHAT_BODY[:10], CHAT_BODY[10:]])
    assert response.status == 200


def test_a_chunked_body_of_the_largest_size_is_read(host: Host) -> None:
    response = host.request("POST", CHAT, (*bearer(KEY), *JSON), [CHAT_BODY, b" " * (MAX_BODY - len(CHAT_BODY))])
    assert response.status == 200


def test_a_chunked_body_beyond_the_limit_is_refused(host: Host) -> None:
    response = host.request("POST", CHAT, (*bearer(KEY), *JSON), [CHAT_BODY, b" " * MAX_BODY])
    assert (response.status, response.error["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("length", ["+5", "0_5", "-1", "5,5", "1" * 20, "five"])
def test_lengths_are_digits(host: Host, length: str) -> None:
    response = post(host, CHAT_BODY, (("content-length", length),))
    assert (response.status, response.error["code"]) == (400, "invalid_content_length")


def test_a_body_with_two_framings_is_refused(host: Host) -> None:
    response = post(host, CHAT_BODY, (("content-length", str(len(CHAT_BODY))), ("transfer-encoding", "chunked")))
    assert (response.status, response.error["type"]) == (400, "invalid_request_error")


def test_no_body_is_not_json(host: Host) -> None:
    response = post(host, b"")
    assert response.status == 400
    assert response.error["message"].startswith("We could not parse the JSON body of your request. (HINT: ")


@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "BREW", "post"])
def test_the_chat_path_takes_post_only(host: Host, verb: str) -> None:
    response = host.request(verb, CHAT, bearer(KEY))
    assert (response.status, response.headers["allow"]) == (405, "POST")
    if verb != "HEAD":
        message = f"Not allowed to {verb} on /api/v1/chat/completions (HINT: use POST)."
        assert response.error == {"message": message, "type": "invalid_request_error", "param": None, "code": "method_not_supported"}


@pytest.mark.parametrize("path", [MODELS, f"{MODELS}/m"], ids=["models", "model"])
@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "BREW", "get"])
def test_the_model_paths_take_get_only(host: Host, verb: str, path: str) -> None:
    response = host.request(verb, path, bearer(KEY))
    assert (response.status, response.headers["allow"], response.error["code"]) == (405, "GET, HEAD", "method_not_supported")


ALLOWED = {CHAT: "POST", MODELS: "GET, HEAD", f"{MODELS}/m": "GET, HEAD"}


@pytest.mark.parametrize(("path", "allowed"), ALLOWED.items(), ids=ALLOWED)
def test_options_name_what_is_served(host: Host, path: str, allowed: str) -> None:
    """Without a key, as browsers ask. A middleware leaves them to the host app, which may have rules for CORS."""
    response = host.request("OPTIONS", path)
    if host.wraps:
        assert "x-request-id" not in response.headers
    else:
        assert (response.status, response.headers["allow"], response.body) == (200, allowed, b"")


@pytest.mark.parametrize(
    "name", ["Host", "X-Forwarded-For", "X-Forwarded-Proto", "Origin", "Idempotency-Key", "OpenAI-Beta", "X-Stainless-Retry-Count"]
)
def test_headers_of_clients_and_proxies_change_nothing(host: Host, name: str) -> None:
    assert post(host, CHAT_BODY, ((name, "a.example"),)).status == 200


def test_a_flood_of_headers_is_refused(host: Host) -> None:
    response = post(host, CHAT_BODY, tuple((f"x-{number}", "x" * 1024) for number in range(40)))
    assert (response.status, response.error["code"]) == (431, "headers_too_large")


ANSWERS: dict[str, tuple[bytes, HeaderPairs, int]] = {
    "json": (CHAT_BODY, (), 200),
    "stream": (json.dumps(chat_body(stream=True)).encode(), (), 200),
    "refusal": (b"{}", (), 400),
}


@pytest.mark.parametrize(("body", "headers", "status"), ANSWERS.values(), ids=ANSWERS)
def test_every_answer_has_the_headers_of_openai(host: Host, body: bytes, headers: HeaderPairs, status: int) -> None:
    response = post(host, body, headers)
    assert response.status == status
    assert re.fullmatch("req_[0-9a-f]{32}", response.headers["x-request-id"])
    assert response.headers["openai-processing-ms"].isdigit()
    assert response.headers["openai-version"] == "2020-10-01"


def test_a_whole_answer_has_its_length(host: Host) -> None:
    response = post(host, CHAT_BODY)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(response.body))


def test_every_answer_has_an_id_of_its_own_that_no_client_can_choose(host: Host) -> None:
    ids = {post(host, CHAT_BODY, (("x-request-id", "req_" + "0" * 32),)).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert "req_" + "0" * 32 not in ids


CLIENT_IDS = {"ascii": ("my-trace-1", 200), "longest": ("x" * 512, 200), "too-long": ("x" * 513, 400), "latin-1": ("\xe9", 400)}


@pytest.mark.parametrize(("value", "status"), CLIENT_IDS.values(), ids=CLIENT_IDS)
def test_the_clients_own_request_id_is_ascii_of_at_most_512_characters(host: Host, value: str, status: int) -> None:
    assert post(host, CHAT_BODY, (("x-client-request-id", value),)).status == status
