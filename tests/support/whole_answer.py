"""Whole answers of an `AsyncGateway`, read as the ASGI adapter does."""

from typing import Any

from completions_mw import Response


async def whole_answer(response: Response[Any]) -> tuple[int, dict[str, str], bytes]:
    """Return the status, headers and body of an answer; a stream is closed however its reading ends."""
    if isinstance(response.body, bytes):
        return response.status, dict(response.headers), response.body
    pieces: list[bytes] = []
    try:
        while not response.body.is_done:
            pieces.append(await response.body.__anext__())
    finally:
        await response.body.aclose()
    return response.status, dict(response.headers), b"".join(pieces)
