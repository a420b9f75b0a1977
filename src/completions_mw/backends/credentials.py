"""Credentials of upstreams that a function of the host app gives: tokens that expire, such as those of Microsoft Entra ID."""

import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from completions_mw.core.telemetry.log import log_exception
from completions_mw.errors import ServiceUnavailableError
from completions_mw.http import UpstreamRequest

TokenFunction = Callable[[], "str | Awaitable[str]"]
"""Function of the host app, sync or async, that returns a bearer token which is valid now."""
_is_token: Final = re.compile(r"[\x21-\x7e]+").fullmatch
KEPT_TOKENS: Final = 64
"""Tokens that are removed from errors: the latest, and those that requests under way may still have."""


class TokenCredentials:
    """Adds the token of a function to each request, in the header `authorization`.

    The function is called for every request: those of the vendors' libraries keep a token until shortly before it expires.

    Args:
        provider: name of the provider in the settings, for the log.
        function: function of the host app.
        call: calls the function: inline, in a thread, or on the event loop.
        debug: whether the log may quote an exception of the function.
    """

    def __init__(self, provider: str, function: TokenFunction, call: Callable[[TokenFunction], Awaitable[Any]], *, debug: bool) -> None:
        self._provider = provider
        self._function = function
        self._call = call
        self._debug = debug
        self._tokens: deque[str] = deque(maxlen=KEPT_TOKENS)

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(self._tokens)

    async def authorize(self, request: UpstreamRequest) -> None:
        try:
            token = await self._call(self._function)
            if not isinstance(token, str) or not _is_token(token):
                raise TypeError(f"the function should return a token, printable ASCII without spaces, and returned {type(token).__name__}")
        except Exception as error:
            raise credentials_error(self._provider, error, debug=self._debug) from error
        if token not in self._tokens:
            self._tokens.append(token)
        request.headers = (*request.headers, ("authorization", f"Bearer {token}"))


def credentials_error(provider: str, error: Exception, *, debug: bool) -> ServiceUnavailableError:
    """Log why there are no credentials for a request, and return the client's error.

    Args:
        provider: name of the provider in the settings.
        error: what failed.
        debug: whether the log may quote it.
    """
    log_exception("credentials_failed", error, debug=debug, provider=provider)
    return ServiceUnavailableError("The gateway has no credentials for the upstream provider.", code="upstream_credentials_error")


async def call_on_loop(function: Callable[[], Any]) -> Any:
    """Return the result of an async function."""
    return await function()
