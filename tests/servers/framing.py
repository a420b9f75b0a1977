"""Requests with a fault in their framing or head (docs/contract.md, Requests), as bytes on the wire."""

from typing import Any, NamedTuple

from completions_mw.core.validation.body import DISCARD_BYTES
from tests.servers.apps import KEY, MAX_BODY
from tests.servers.client import PATH, body, chat

BODY = body()
SECOND = chat(text="smuggled")
"""A valid request, to hide behind or within another one."""


class Row(NamedTuple):
    """A fault."""

    id: str
    data: bytes
    statuses: tuple[int, ...]
    """What may be answered, by us or by the server itself."""
    silent: bool = False
    """Whether the client sends nothing after `data`: a part of the request is missing, and what came next would be taken for it."""


def head(
    *lines: str,
    path: str = PATH,
    method: str = "POST",
    host: str = "host: localhost",
    content_type: str | None = "application/json",
    authorization: str | None = f"Bearer {KEY}",
) -> bytes:
    """Return a request's head: `lines` beside the usual."""
    usual = [host] if host else []
    usual += [f"{name}: {value}" for name, value in (("content-type", content_type), ("authorization", authorization)) if value is not None]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *usual, *lines, "", ""]).encode("latin-1")


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def whole(*lines: str, **head_fields: Any) -> bytes:
    """Return a request with the usual body and its length."""
    return head(f"content-length: {len(BODY)}", *lines, **head_fields) + BODY


TOO_LONG = DISCARD_BYTES + 1
"""Not even waited for."""

LENGTHS = [
    Row(f"length {name}", head(f"content-length: {text}") + BODY + SECOND, (400, 413), silent=len(text) == 20)
    for name, text in {
        "plus": f"+{len(BODY)}",
        "underscore": f"{len(BODY) // 10}_{len(BODY) % 10}",
        "negative": "-1",
        "list": f"{len(BODY)},{len(BODY) + 1}",
        "empty": "",
        "20 digits": "9" * 20,
        "hex": hex(len(BODY)),
        "twice": f"{len(BODY)}\r\ncontent-length: {len(BODY) + 1}",
    }.items()
]

SIZES = [
    Row("too long by its length", head(f"content-length: {TOO_LONG}"), (413,), silent=True),
    Row("too long in chunks", head("transfer-encoding: chunked") + chunked(*[b" " * 65536] * (MAX_BODY // 65536 + 1)), (413,)),
    Row("a header of 100 KB", whole(f"x-long: {'x' * 100_000}"), (400, 431)),
    Row("2,000 headers", whole(*(f"x-{number}: {'x' * 20}" for number in range(2000))), (400, 431)),
]

AMBIGUOUS = [
    Row("length and chunked", head("content-length: 5", "transfer-encoding: chunked") + chunked(BODY) + SECOND, (400,)),
    Row("chunked and length", head("transfer-encoding: chunked", f"content-length: {len(BODY)}") + BODY + SECOND, (400,)),
    Row(
        "length beyond a chunked body",
        head(f"content-length: {len(SECOND) + 5}", "transfer-encoding: chunked") + chunked() + SECOND,
        (400,),
    ),
    Row("chunked twice", head("transfer-encoding: chunked", "transfer-encoding: identity") + chunked(BODY) + SECOND, (400, 501)),
    Row("another coding", head("transfer-encoding: gzip, chunked") + chunked(BODY) + SECOND, (400, 415, 501)),
    Row("space before the colon", head(f"content-length: {len(BODY)}", "transfer-encoding : chunked") + BODY + SECOND, (400,)),
]

TYPES = [
    *(Row(f"encoded: {name}", whole(f"content-encoding: {name}"), (415,)) for name in ("gzip", "br", "deflate", "x")),
    *(
        Row(f"type: {name}", whole(content_type=name), (415,))
        for name in ("text/plain", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/jsonx")
    ),
    Row("no type", whole(content_type=None), (200,)),
]

METHODS = [
    *(Row(f"method {method}", whole(method=method), (405,)) for method in ("GET", "PUT", "DELETE", "PATCH")),
    Row("method OPTIONS", whole(method="OPTIONS"), (200,)),
]

KEYS = [
    *(
        Row(f"credentials: {name}", whole(authorization=value), (401,))
        for name, value in {
            "no key": None,
            "basic": "Basic dGVhbTpzay0x",
            "scheme only": "Bearer",
            "blank token": "Bearer  ",
            "token of 513 bytes": f"Bearer {'x' * 513}",
        }.items()
    ),
    *(
        Row(f"key with {name}", whole(authorization=f"Bearer {value}"), (401, 400))
        for name, value in {
            "bytes that are no UTF-8": "\xff\xfe",
            "NUL": "sk-\x00",
            "UTF-8": "sk-é".encode().decode("latin-1"),
            "latin-1": "sk-é",
        }.items()
    ),
    Row("two keys, both right", whole(f"authorization: Bearer {KEY}"), (401, 400)),
    Row("two keys, the last right", whole(f"authorization: Bearer {KEY}", authorization="Bearer sk-other"), (401, 400)),
    Row("two keys, the first right", whole("authorization: Bearer sk-other"), (401, 400)),
    Row("comma", whole(authorization=f"Bearer {KEY},Bearer {KEY}"), (401,)),
    *(
        Row(f"key in {name}", whole(line, authorization=None), (401, 400))
        for name, line in {
            "x-api-key": f"x-api-key: {KEY}",
            "X_Api_Key": f"X_Api_Key: {KEY}",
            "HTTP_AUTHORIZATION": f"HTTP_AUTHORIZATION: Bearer {KEY}",
            "proxy-authorization": f"proxy-authorization: Bearer {KEY}",
            "a cookie": f"cookie: authorization={KEY}",
        }.items()
    ),
    Row("key in the query", whole(authorization=None, path=f"{PATH}?api_key={KEY}&key={KEY}"), (401,)),
    Row(
        "expect, bad key",
        head(f"content-length: {len(BODY)}", "expect: 100-continue", authorization="Bearer sk-other"),
        (401,),
        silent=True,
    ),
]

HOSTS = [
    Row(f"host: {name}", whole(host=line), statuses)
    for name, line, statuses in (
        ("path", "host: a/../x?", (200, 400)),
        ("fragment", "host: evil#", (200, 400)),
        ("missing", "", (200, 400)),
        ("twice", "host: a\r\nhost: b", (200, 400)),
    )
]

PATHS = [
    Row(f"path {path}", whole(path=path), (200, 400))
    for path in (
        f"/{PATH}",
        f"{PATH}/",
        "/api/v1/x/../chat/completions",
        "/api/v1/x/%2e%2e/chat/completions",
        f"{PATH};x",
        PATH.upper(),
        f"{PATH}%00",
        f"{PATH}%20",
    )
]
"""The host app's, if they are not refused."""

REFUSED_EARLY = [
    Row("bad key", head("content-length: 200000", authorization="Bearer sk-other") + (SECOND * 2000)[:200_000], (401,)),
    Row("bad key, chunked", head("transfer-encoding: chunked", authorization="Bearer sk-other") + chunked(*[SECOND * 100] * 5), (401,)),
    Row("wrong type", head("content-length: 200000", content_type="text/plain") + (SECOND * 2000)[:200_000], (415,)),
]

ROWS = [*LENGTHS, *SIZES, *AMBIGUOUS, *TYPES, *METHODS, *KEYS, *HOSTS, *PATHS, *REFUSED_EARLY]
