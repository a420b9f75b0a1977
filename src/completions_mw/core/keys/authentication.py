"""Authentication: finds the caller of a request by its API key or by the host app's own login."""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from completions_mw.core.context import RequestContext
from completions_mw.core.hooks import uncallable_reason
from completions_mw.core.keys.caller import Caller, CallerLike, to_caller
from completions_mw.core.keys.owners import Owner, StoredOwners, digest_of
from completions_mw.core.keys.secrets import is_own_form
from completions_mw.core.ports import Clock, KeyFinder
from completions_mw.core.validation.headers import RequestHeaders
from completions_mw.errors import AuthenticationError, ConfigurationError, ServiceUnavailableError
from completions_mw.http import Request

MAX_AUTHORIZATION_LENGTH: Final = 512
"""Maximum of characters in an Authorization header."""
_SHOWABLE_TOKEN = re.compile(r"[A-Za-z0-9._-]{12,}")

Authenticate = Callable[[Request], "CallerLike | Awaitable[CallerLike | None] | None"]
"""Login hook of the host app: returns the caller of a request. None, an empty id and False mean that there is none."""


class Authenticator:
    """Finds the caller of a request by its key, else by the host app's login.

    Keys are looked up by their SHA-256, so that neither the duration of a look-up nor a memory dump reveals a key.

    Args:
        owners: owners of the keys in the settings, by the SHA-256 of their secrets.
        clock: time, for keys that expire.
        hook: login of the host app.
        stored: finds the other keys; None where there are no others.

    Raises:
        ConfigurationError: the hook cannot be called with a request.
    """

    def __init__(
        self, owners: Mapping[bytes, Owner], clock: Clock, hook: Authenticate | None = None, stored: KeyFinder | None = None
    ) -> None:
        self._owners = owners
        self._stored = stored
        self._stored_owners = StoredOwners()
        self._clock = clock
        self._hook = hook
        if hook is not None and (fault := uncallable_reason(hook)):
            raise ConfigurationError(f"authenticate: {fault}")

    async def authenticate(self, context: RequestContext, headers: RequestHeaders, request: Request) -> tuple[Caller, bool]:
        """Return the caller of a request, and whether the caller was found by a key.

        Raises:
            AuthenticationError: no caller is found.
            ServiceUnavailableError: no caller is found and the stored keys cannot be read.
        """
        token = None if headers.authorization is None else _bearer_token(headers.authorization)
        unavailable = None
        try:
            caller = await self.find(token) if token else None
        except ServiceUnavailableError as error:
            # The host app's login may still find the caller.
            caller, unavailable = None, error
        is_by_key = caller is not None
        # A wrong key with the form of this package's keys is not a token of the host app, so its sender must not become another caller.
        if caller is None and self._hook is not None and not (token and is_own_form(token)):
            answer: object = self._hook(request)
            if inspect.isawaitable(answer):
                answer = await answer
            if answer is True or not isinstance(answer, Caller | str | int | None):
                raise TypeError(f"`authenticate` should return a Caller, an id or None, and returned {type(answer).__name__}")
            caller = to_caller(answer)
        if caller is None:
            raise unavailable or (missing_key_error() if token is None else incorrect_key_error(token))
        context.caller, context.tenant = caller.id, caller.tenant or None
        return caller, is_by_key

    async def find(self, token: str) -> Caller | None:
        """Return the caller whose key is `token`, None if the key is unknown, disabled or expired.

        Raises:
            ServiceUnavailableError: the stored keys cannot be read.
        """
        digest = digest_of(token)
        owner = self._owners.get(digest)
        if owner is None and self._stored is not None and (found := await self._stored.find(digest)) is not None:
            owner = self._stored_owners.of(digest, found)
        if owner is None or owner.disabled or (owner.expires_at is not None and owner.expires_at <= self._clock.time()):
            return None
        return owner.caller

    async def authenticate_key(self, token: str) -> Caller:
        """Return the caller whose key is `token`.

        Raises:
            AuthenticationError: the key is unknown, disabled or expired.
            ServiceUnavailableError: the stored keys cannot be read.
        """
        caller = await self.find(token)
        if caller is None:
            raise incorrect_key_error(token)
        return caller


def _bearer_token(authorization: str) -> str | None:
    """Return the bearer token, None if there is none, and "" for a header that cannot hold a key but may be meant for the host app."""
    if "," in authorization or len(authorization) > MAX_AUTHORIZATION_LENGTH:
        return ""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def missing_key_error() -> AuthenticationError:
    """Return the error for a request without a key."""
    return AuthenticationError(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY)."
    )


def incorrect_key_error(token: str) -> AuthenticationError:
    """Return the error for a key that is unknown, disabled or expired; its text shows at most both ends of the key."""
    shown = f"{token[:5]}***{token[-2:]}" if _SHOWABLE_TOKEN.fullmatch(token) else "***"
    return AuthenticationError(f"Incorrect API key provided: {shown}.", code="invalid_api_key")
