import pytest

from completions_mw.core.validation.headers import check_entity, parse_headers
from completions_mw.errors import GatewayError
from completions_mw.http import Headers, Request

MAX_BYTES = 10**12


def code_of(headers: Headers, *, declared: bool = False) -> str | int:
    with pytest.raises(GatewayError) as caught:
        check_entity(parse_headers(Request("POST", "/", headers)), MAX_BYTES, declared=declared)
    return caught.value.code or caught.value.status


@pytest.mark.parametrize("length", ["+5", "0_5", "-1", "5,5", "", "1" * 20, " 5", "0x5", "٣"])
def test_a_content_length_is_plain_digits(length: str) -> None:
    assert code_of((("content-length", length),)) == "invalid_content_length"


def test_two_content_lengths_are_ambiguous() -> None:
    assert code_of((("content-length", "5"), ("content-length", "5"))) == "invalid_content_length"


def test_a_length_beside_a_transfer_encoding_is_ambiguous() -> None:
    headers = (("content-length", "5"), ("transfer-encoding", "chunked"))
    with pytest.raises(GatewayError) as caught:
        parse_headers(Request("POST", "/", headers))
    assert caught.value.status == 400
    assert ("connection", "close") in caught.value.headers


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        'application/json; charset="utf8"',
    ],
)
def test_json_in_utf_8_is_accepted(content_type: str) -> None:
    check_entity(parse_headers(Request("POST", "/", (("content-type", content_type),))), MAX_BYTES, declared=True)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/jsonp",
        "text/plain, application/json",
    ],
)
def test_other_media_types_are_refused(content_type: str) -> None:
    assert code_of((("content-type", content_type),)) == "unsupported_media_type"


NO_TYPE: list[Headers] = [(), (("content-type", ""),)]
every_way_to_say_no_type = pytest.mark.parametrize("headers", NO_TYPE, ids=["absent", "empty"])


@every_way_to_say_no_type
def test_a_body_without_a_type_passes_for_json(headers: Headers) -> None:
    check_entity(parse_headers(Request("POST", "/", headers)), MAX_BYTES, declared=False)


@every_way_to_say_no_type
def test_a_body_without_a_type_is_refused_where_a_cookie_may_have_sent_it(headers: Headers) -> None:
    assert code_of(headers, declared=True) == "unsupported_media_type"


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "x", "identity, gzip"])
def test_encoded_bodies_are_refused(encoding: str) -> None:
    assert code_of((("content-encoding", encoding),)) == "unsupported_content_encoding"


def test_the_headers_together_are_bounded() -> None:
    assert code_of(tuple((f"x-{at}", "v" * 1000) for at in range(33))) == "headers_too_large"


@pytest.mark.parametrize("client_request_id", ["x" * 513, "é", "😀"])
def test_a_client_request_id_is_bounded_ascii(client_request_id: str) -> None:
    assert code_of((("x-client-request-id", client_request_id),)) == 400


def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_read() -> None:
    headers = parse_headers(Request("POST", "/", (("content-type", "application/json"), ("content-length", "11"))))
    with pytest.raises(GatewayError) as caught:
        check_entity(headers, 10, declared=True)
    assert caught.value.code == "request_too_large"
