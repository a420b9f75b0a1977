"""Check the body of a request, or drop it where the answer does not need it."""

from typing import Final

from completions_mw.core.validation.headers import CLOSE_HEADERS, body_too_large_error
from completions_mw.errors import ClientDisconnectedError, InvalidRequestError
from completions_mw.http import Headers, Request

DISCARD_BYTES: Final = 10 * 1024 * 1024
"""Most bytes of a body that are dropped: more than a proxy sends ahead of an answer."""
DISCARD_SECONDS: Final = 1.0
"""Most seconds that an answer waits for a body that it does not need."""


def check_body(body: bytes, request: Request, length: int | None, limit: int) -> None:
    """Check that a body which was read is whole.

    Args:
        body: the body.
        request: its request.
        length: its Content-Length, if it has one.
        limit: maximum of bytes.

    Raises:
        RequestTooLargeError: the body has more than `limit` bytes.
        ClientDisconnectedError: the client left before it had sent the body.
        InvalidRequestError: something between the client and the gateway has taken the body.
    """
    if len(body) > limit:
        raise body_too_large_error(limit)
    if length and not body:
        raise missing_body_error(request)
    if length is not None and len(body) < length:
        # gunicorn takes the end of the connection for the end of the body (docs/promises.md, Bounds).
        raise ClientDisconnectedError


def missing_body_error(request: Request) -> InvalidRequestError:
    """Return the error for a body of which nothing came, though its length was announced."""
    cause = "Something in the app has read it before."
    if any(name == "upgrade" for name, _ in request.headers):
        # uvicorn with httptools; Java's HttpClient asks for HTTP/2 so.
        cause = "The server drops the bodies of requests that ask for another protocol (HINT: send no Upgrade header)."
    return InvalidRequestError(f"The body of the request did not arrive. {cause}", code="missing_body")


async def discard_body(request: Request) -> Headers:
    """Drop the unread body of a request that is being answered; return headers for the answer.

    With an unread body, servers close the connection without saying so, and a proxy may have sent the next request of somebody else on
    it; or they wait for the rest of the body, as long as its client likes (docs/promises.md, Hosts and servers).
    """
    length = dict(request.headers).get("content-length")
    if isinstance(request.body, bytes) or length == "0":
        return ()
    is_small = length is None or (length.isdecimal() and int(length) <= DISCARD_BYTES)
    limit = DISCARD_BYTES if is_small else 0
    return () if await request.body.discard(limit, DISCARD_SECONDS) else CLOSE_HEADERS
