"""Who is calling: the owner of an API key, or whoever the host app's own login names."""

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from completions_mw.core.context import RequestContext
from completions_mw.core.hooks import uncallable_reason
from completions_mw.core.keys.caller import Caller, CallerLike, to_caller
from completions_mw.core.keys.owners import Owners
from completions_mw.core.keys.secrets import digest_of, is_own_form
from completions_mw.core.ports import Clock
from completions_mw.core.validation.headers import RequestHeaders
from completions_mw.errors import AuthenticationError, ConfigurationError, ServiceUnavailableError
from completions_mw.http import Request

MAX_AUTHORIZATION: Final = 512
"""Bytes of an Authorization header."""
_SHOWABLE = re.compile(r"[A-Za-z0-9._-]{12,}")

Authenticate = Callable[[Request], "CallerLike | Awaitable[CallerLike | None] | None"]
"""A hook of the host app: who sent this request? None, an empty id and False are nobody."""


class Authenticator:
    """Finds the caller of a request: by its key, in the settings and then in the database, else by the host app's login.

    Keys are looked up by their SHA-256, so neither the time of a look-up nor a dump of the memory tells anything of a key.

    Args:
        owners: where keys are looked up, in the order in which they are asked.
        clock: tells whether a key has expired.
        hook: the host app's login.

    Raises:
        ConfigurationError: the hook cannot be called with a request.
    """

    def __init__(self, owners: Sequence[Owners], clock: Clock, hook: Authenticate | None = None) -> None:
        self._owners = tuple(owners)
        self._clock = clock
        self._hook = hook
        if hook is not None and (fault := uncallable_reason(hook)):
            raise ConfigurationError(f"authenticate: {fault}")

    async def authenticate(self, context: RequestContext, headers: RequestHeaders, request: Request) -> tuple[Caller, bool]:
        """Return who sent `request`, and whether a key said so.

        Raises:
            AuthenticationError: nobody that is known.
            ServiceUnavailableError: nobody that is known without the stored keys, which cannot be read.
        """
        token = _bearer_token(headers)
        unavailable = None
        try:
            caller = await self.find(token) if token else None
        except ServiceUnavailableError as error:
            # The host app may know who it is all the same.
            caller, unavailable = None, error
        is_by_key = caller is not None
        # A wrong key of our own form is no token of the host app: whoever sends it means to be its owner, and nobody else.
        if caller is None and self._hook is not None and not (token and is_own_form(token)):
            answer: object = self._hook(request)
            if inspect.isawaitable(answer):
                answer = await answer
            if answer is True or not isinstance(answer, Caller | str | int | None):
                raise TypeError(f"`authenticate` should return a Caller, an id or None, and returned {type(answer).__name__}")
            caller = to_caller(answer)
        if caller is None:
            raise unavailable or (missing_key_error() if token is None else incorrect_key_error(token))
        context.caller, context.tenant = caller.id, caller.tenant
        return caller, is_by_key

    async def find(self, token: str) -> Caller | None:
        """Return the caller whose key is `token`, None if there is none that may be used now.

        Raises:
            ServiceUnavailableError: the stored keys cannot be read.
        """
        digest = digest_of(token)
        for owners in self._owners:
            owner = await owners.find(digest)
            if owner is not None:
                return owner.caller if owner.is_valid(self._clock.time()) else None
        return None

    async def authenticate_key(self, token: str) -> Caller:
        """Return the caller whose key is `token`.

        Raises:
            AuthenticationError: there is none that may be used now.
            ServiceUnavailableError: the stored keys cannot be read.
        """
        caller = await self.find(token)
        if caller is None:
            raise incorrect_key_error(token)
        return caller


def _bearer_token(headers: RequestHeaders) -> str | None:
    """Return the token, or None where none was given; an empty one where it cannot be a key of ours, as a host app's token may be."""
    if not headers.authorization:
        return None
    if len(headers.authorization) > 1 or "," in headers.authorization[0] or len(headers.authorization[0]) > MAX_AUTHORIZATION:
        return ""
    scheme, _, token = headers.authorization[0].strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def missing_key_error() -> AuthenticationError:
    """Return the error for a request without a key."""
    return AuthenticationError(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY)."
    )


def incorrect_key_error(token: str) -> AuthenticationError:
    """Return the error for a key that is not known, disabled or expired; of the key it shows the two ends at most."""
    shown = f"{token[:5]}***{token[-2:]}" if _SHOWABLE.fullmatch(token) else "***"
    return AuthenticationError(f"Incorrect API key provided: {shown}.", code="invalid_api_key")
