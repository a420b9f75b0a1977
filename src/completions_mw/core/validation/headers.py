"""Parse and check request headers before the body is read."""

import re
from dataclasses import dataclass
from typing import Final

from completions_mw.errors import (
    ClientDisconnectedError,
    HeadersTooLargeError,
    InvalidRequestError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)
from completions_mw.http import Headers

MAX_HEADER_BYTES: Final = 32 * 1024
MAX_CLIENT_REQUEST_ID: Final = 512

_READ: Final = frozenset({"content-type", "content-encoding", "content-length", "transfer-encoding", "x-client-request-id"})
_CLOSE: Final = (("connection", "close"),)
"""Where a message ends is in doubt, so what follows on the connection must not be taken for the next one."""
_LENGTH = re.compile(r"[0-9]{1,10}")
_JSON = re.compile(r"application/json\s*(;\s*charset=\"?utf-?8\"?\s*)?;?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """The headers that this endpoint reads."""

    authorization: tuple[str, ...]
    """Every Authorization header; more than one is refused."""
    content_type: str | None
    content_encoding: str | None
    content_length: int | None
    client_request_id: str | None


def parse_headers(headers: Headers) -> RequestHeaders:
    """Read the headers of a request (docs/contract.md, Requests).

    Raises:
        HeadersTooLargeError: all headers together exceed 32 KiB.
        InvalidRequestError: the framing is ambiguous, or the client's own request id is not one.
    """
    if sum([len(name) + len(value) for name, value in headers]) > MAX_HEADER_BYTES:
        raise HeadersTooLargeError(f"The headers of the request are larger than {MAX_HEADER_BYTES} bytes.")
    authorization: tuple[str, ...] = ()
    named: dict[str, str] = {}
    for name, value in headers:
        if name in _READ:
            named[name] = value if name not in named else f"{named[name]},{value}"
        elif name == "authorization":
            authorization = (*authorization, value)
    return RequestHeaders(
        authorization, named.get("content-type"), named.get("content-encoding"), _content_length(named), _client_request_id(named)
    )


def _content_length(named: dict[str, str]) -> int | None:
    text = named.get("content-length")
    coding = named.get("transfer-encoding")
    if coding is not None and coding.lower() != "chunked":
        # Servers undo `chunked` alone and leave what is below it to the app (RFC 9112 section 6.1).
        raise InvalidRequestError("The request has a Transfer-Encoding other than chunked.", headers=_CLOSE)
    if text is None:
        return None
    if coding is not None:
        raise InvalidRequestError("The request has both a Content-Length and a Transfer-Encoding.", headers=_CLOSE)
    if not _LENGTH.fullmatch(text):
        raise InvalidRequestError("The Content-Length header is not a length.", code="invalid_content_length", headers=_CLOSE)
    return int(text)


def _client_request_id(named: dict[str, str]) -> str | None:
    text = named.get("x-client-request-id")
    if text is not None and (len(text) > MAX_CLIENT_REQUEST_ID or not text.isascii()):
        raise InvalidRequestError(f"The X-Client-Request-Id header must be ASCII of at most {MAX_CLIENT_REQUEST_ID} characters.")
    return text


def require_json(headers: RequestHeaders, *, declared: bool) -> None:
    """Refuse a body that is not plain JSON in UTF-8.

    Args:
        headers: the parsed headers.
        declared: whether the type must be given. It must for callers known by the host app's own login: a page of another site can send
            a body without a type, but not one declared as JSON, in its visitor's name.

    Raises:
        UnsupportedMediaTypeError: another type, charset or an encoding.
    """
    if headers.content_encoding is not None and headers.content_encoding.lower() != "identity":
        raise UnsupportedMediaTypeError("Encoded request bodies are not supported: send plain JSON.", code="unsupported_content_encoding")
    if headers.content_type is None and not declared:
        return
    if headers.content_type is None or not _JSON.fullmatch(headers.content_type):
        raise UnsupportedMediaTypeError("The Content-Type of the request must be application/json, in UTF-8.")


def require_length(headers: RequestHeaders, limit: int) -> None:
    """Refuse a body that says beforehand that it is too large.

    Raises:
        RequestTooLargeError: it has more than `limit` bytes.
    """
    if headers.content_length is not None and headers.content_length > limit:
        raise body_too_large_error(limit)


def require_whole(content_length: int | None, body: bytes) -> None:
    """Refuse the beginning of a body: gunicorn takes the end of the connection for its end (docs/promises.md, Bounds).

    Raises:
        ClientDisconnectedError: it is shorter than its length says.
    """
    if content_length is not None and len(body) < content_length:
        raise ClientDisconnectedError


def body_too_large_error(limit: int) -> RequestTooLargeError:
    """Return the error for a body of more than `limit` bytes."""
    return RequestTooLargeError(f"The request body is larger than {limit} bytes.")
