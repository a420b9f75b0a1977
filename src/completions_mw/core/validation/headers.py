"""Parse and check request headers before the body is read."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from completions_mw.errors import HeadersTooLargeError, InvalidRequestError, RequestTooLargeError, UnsupportedMediaTypeError
from completions_mw.http import Headers, Request

MAX_HEADER_BYTES: Final = 32 * 1024
MAX_CLIENT_REQUEST_ID_LENGTH: Final = 512

_READ_HEADERS: Final = frozenset(
    {
        "authorization",
        "cache-control",
        "content-type",
        "content-encoding",
        "content-length",
        "transfer-encoding",
        "x-client-request-id",
        "x-dry-run",
        "x-request-timeout-ms",
    }
)
MAX_KNOWN_LENGTHS: Final = 1024
"""Number of values of `Content-Length` that are kept."""
MAX_KNOWN_TERMS: Final = 256
"""Number of `Terms` that are kept, each of headers of at most `MAX_HEADER_BYTES`."""
CLOSE_HEADERS: Final[Headers] = (("connection", "close"),)
"""Headers of answers after which the end of the request is in doubt, or unread: what follows must not be read as another request."""
_SWITCH: Final = {"0": False, "1": True}
MAX_TIMEOUT_MS: Final = 86_400_000
"""Longest time that a client may set for its request: a day."""
_LENGTH_PATTERN = re.compile(r"[0-9]{1,10}")
_JSON_PATTERN = re.compile(r"application/json\s*(;\s*charset=\"?utf-?8\"?\s*)?;?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Terms:
    """What those headers say that a client sends with each request in the same way.

    Read once for all requests with these headers, and kept in memory, so no header with a secret may be among them.
    """

    is_json: bool | None
    """Whether `Content-Type` is JSON in UTF-8; None without a type."""
    is_encoded: bool
    """Whether the body has a `Content-Encoding`."""
    is_chunked: bool
    """Whether the body has a `Transfer-Encoding`."""
    cache_control: str | None
    """Value of `Cache-Control`; of repeated headers joined by commas."""
    timeout_ms: int | None
    """Milliseconds in which the client wants its whole answer (docs/routing.md, Deadlines)."""
    is_dry_run: bool
    """Whether the client only wants to know what would happen to its request (docs/dry-runs.md)."""


@dataclass(slots=True)
class RequestHeaders:
    """The request headers that this endpoint reads."""

    authorization: str | None = field(repr=False)
    """Value of `Authorization`; of repeated headers joined by commas, which no key has."""
    client_request_id: str | None
    content_length: int | None
    terms: Terms


def parse_headers(request: Request) -> RequestHeaders:
    """Read the headers of a request (docs/contract.md, Requests).

    Raises:
        HeadersTooLargeError: all headers together exceed 32 KiB.
        InvalidRequestError: the framing is ambiguous, or a header has a value that it cannot have.
    """
    named, size = request.pick(_READ_HEADERS)
    if size > MAX_HEADER_BYTES:
        raise HeadersTooLargeError(f"The headers of the request are larger than {MAX_HEADER_BYTES} bytes.")
    authorization, id = named.pop("authorization", None), named.pop("x-client-request-id", None)
    length = named.pop("content-length", None)
    terms = _terms_in(tuple(named.items()))
    if length is not None and terms.is_chunked:
        raise InvalidRequestError("The request has both a Content-Length and a Transfer-Encoding.", headers=CLOSE_HEADERS)
    if id is not None and (len(id) > MAX_CLIENT_REQUEST_ID_LENGTH or not id.isascii()):
        text = f"The X-Client-Request-Id header must be ASCII of at most {MAX_CLIENT_REQUEST_ID_LENGTH} characters."
        raise InvalidRequestError(text)
    return RequestHeaders(authorization, id, None if length is None else _length_in(length), terms)


@lru_cache(MAX_KNOWN_LENGTHS)
def _length_in(content_length: str) -> int:
    if not _LENGTH_PATTERN.fullmatch(content_length):
        text = "The Content-Length header is not a length."
        raise InvalidRequestError(text, code="invalid_content_length", headers=CLOSE_HEADERS)
    return int(content_length)


@lru_cache(MAX_KNOWN_TERMS)
def _terms_in(headers: Headers) -> Terms:
    """Return the terms in headers.

    Raises:
        InvalidRequestError: a header has a value that it cannot have.
    """
    named = dict(headers)
    coding, timeout, dry_run = named.get("transfer-encoding"), named.get("x-request-timeout-ms"), named.get("x-dry-run", "0")
    if coding is not None and coding.lower() != "chunked":
        # Servers decode `chunked` only and leave other codings to the app (RFC 9112 section 6.1).
        raise InvalidRequestError("The request has a Transfer-Encoding other than chunked.", headers=CLOSE_HEADERS)
    if timeout is not None and not (_LENGTH_PATTERN.fullmatch(timeout) and 1 <= int(timeout) <= MAX_TIMEOUT_MS):
        text = f"The X-Request-Timeout-Ms header must be a number of milliseconds from 1 to {MAX_TIMEOUT_MS}."
        raise InvalidRequestError(text, code="invalid_request_timeout")
    if dry_run not in _SWITCH:
        raise InvalidRequestError("The X-Dry-Run header must be 1 or 0.", code="invalid_dry_run")
    type = named.get("content-type")
    return Terms(
        is_json=_JSON_PATTERN.fullmatch(type) is not None if type else None,
        is_encoded=named.get("content-encoding", "identity").lower() != "identity",
        is_chunked=coding is not None,
        cache_control=named.get("cache-control"),
        timeout_ms=None if timeout is None else int(timeout),
        is_dry_run=_SWITCH[dry_run],
    )


def check_entity(headers: RequestHeaders, max_bytes: int, *, declared: bool) -> None:
    """Refuse a body that its headers declare as too large, or as anything but plain JSON in UTF-8.

    Args:
        headers: the parsed headers.
        max_bytes: maximum size of the body.
        declared: whether a Content-Type is required. It is for callers known by the host app's own login: a page of another site can
            send a body without a type in its visitor's name, but not one declared as JSON.

    Raises:
        UnsupportedMediaTypeError: the body has another type or charset, or a content encoding.
        RequestTooLargeError: the body has more than `max_bytes` bytes.
    """
    if headers.terms.is_encoded:
        raise UnsupportedMediaTypeError("Encoded request bodies are not supported: send plain JSON.", code="unsupported_content_encoding")
    if not headers.terms.is_json and (declared or headers.terms.is_json is not None):
        raise UnsupportedMediaTypeError("The Content-Type of the request must be application/json, in UTF-8.")
    if headers.content_length is not None and headers.content_length > max_bytes:
        raise body_too_large_error(max_bytes)


def body_too_large_error(limit: int) -> RequestTooLargeError:
    """Return the error for a body of more than `limit` bytes."""
    return RequestTooLargeError(f"The request body is larger than {limit} bytes.")
