"""Answers that go on without their clients under ASGI: Django cancels the view of a client that has left."""

import asyncio

from completions_mw.core.streaming.body import ResponseBody
from completions_mw.core.streaming.finishing import Finishing
from completions_mw.gateway import AsyncGateway
from completions_mw.http import Request, Response


async def handle_to_the_end(gateway: AsyncGateway, finishing: Finishing, request: Request) -> Response[ResponseBody]:
    """Answer a request as `AsyncGateway.handle`. If its client leaves before the answer begins, read the answer to its end first.

    Args:
        gateway: answers the request.
        finishing: places for answers that go on without their clients.
        request: the request.

    Raises:
        CancelledError: the client left.
    """
    handling = asyncio.ensure_future(gateway.handle(request))
    try:
        return await asyncio.shield(handling)
    except asyncio.CancelledError:
        if finishing.take():
            try:
                await asyncio.wait([handling], timeout=finishing.seconds)
            finally:
                finishing.give_back()
        handling.cancel()
        await asyncio.wait([handling])
        if not handling.cancelled() and not isinstance(body := handling.result().body, bytes):
            # Reads what is left.
            await body.aclose()
        raise
