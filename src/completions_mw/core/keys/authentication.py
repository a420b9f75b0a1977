"""Who is calling: a key of the settings, or whoever the host app's own login says."""

import hmac
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from completions_mw.core.hooks import uncallable_reason
from completions_mw.core.keys.caller import Caller, CallerLike, to_caller
from completions_mw.core.ports import Clock
from completions_mw.core.validation.headers import RequestHeaders
from completions_mw.errors import AuthenticationError, ConfigurationError, GatewayError, ServiceUnavailableError
from completions_mw.http import Request
from completions_mw.settings import KeySettings

MAX_AUTHORIZATION: Final = 512
_SHOWABLE = re.compile(r"[A-Za-z0-9._-]{12,}")


Authenticate = Callable[[Request], "CallerLike | Awaitable[CallerLike | None] | None"]
"""A hook of the host app: who sent this request? None, an empty id and False are nobody."""


@dataclass(frozen=True, slots=True)
class _Key:
    digest: bytes
    caller: Caller
    disabled: bool
    expires_at: float | None


class StoredKeys(Protocol):
    """The keys of the ledger's database."""

    async def caller(self, token: str) -> Caller | None:
        """Return whose key `token` is, if it may be used now.

        Raises:
            ServiceUnavailableError: nobody can tell at the moment.
        """
        ...


class Authenticator:
    """Finds the caller of a request: first in the settings, then among the stored keys, then by the host app's login.

    Keys are held as SHA-256 digests and looked up by digest, so neither the time of the look-up nor a dump of the memory tells
    anything of a key (FAULTS FC-112).

    Raises:
        ConfigurationError: the hook is nothing to call with a request.
    """

    def __init__(
        self, keys: Mapping[str, KeySettings], clock: Clock, hook: Authenticate | None = None, stored: StoredKeys | None = None
    ) -> None:
        self._keys = {key.digest: key for key in (_key(id, settings) for id, settings in keys.items())}
        self._clock = clock
        self._hook = hook
        self._stored = stored
        if hook is not None and (fault := uncallable_reason(hook)):
            raise ConfigurationError(f"authenticate: {fault}")

    async def authenticate(self, head: RequestHeaders, request: Request) -> tuple[Caller, bool]:
        """Return who sent `request`, and whether a key said so.

        Raises:
            AuthenticationError: nobody that we know (SPEC section 9).
            ServiceUnavailableError: nobody that we know without the stored keys, which cannot be read.
        """
        token = _bearer(head)
        unknown: GatewayError = missing_key_error() if token is None else incorrect_key_error(token)
        try:
            caller = await self.find(token) if token else None
        except ServiceUnavailableError as error:
            # The host app may know who it is all the same.
            caller, unknown = None, error
        if caller is not None:
            return caller, True
        caller = await self._ask(request, self._hook) if self._hook is not None else None
        if caller is not None:
            return caller, False
        raise unknown

    async def find(self, token: str) -> Caller | None:
        """Return the caller whose key is `token`, if it may be used now.

        Raises:
            ServiceUnavailableError: the stored keys cannot be read.
        """
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        key = self._keys.get(digest)
        if key is None and self._stored is not None:
            return await self._stored.caller(token)
        if key is None or not hmac.compare_digest(key.digest, digest) or key.disabled:
            return None
        if key.expires_at is not None and key.expires_at <= self._clock.time():
            return None
        return key.caller

    async def _ask(self, request: Request, hook: Authenticate) -> Caller | None:
        answer: object = hook(request)
        if inspect.isawaitable(answer):
            answer = await answer
        if answer is True or not isinstance(answer, Caller | str | int | None):
            raise TypeError(f"`authenticate` should return a Caller, an id or None, and returned {type(answer).__name__}")
        return to_caller(answer)


def _key(id: str, settings: KeySettings) -> _Key:
    models = None if settings.models is None else frozenset(settings.models)
    caller = Caller(id, settings.tenant or id, models, settings.metadata, settings.limits, settings.budget, settings.max_cost, scope="key")
    expires_at = settings.expires_at.timestamp() if settings.expires_at else None
    return _Key(bytes.fromhex(settings.secret_sha256), caller, settings.disabled, expires_at)


def _bearer(head: RequestHeaders) -> str | None:
    """Return the token, or None where none was given; an empty one where it cannot be a key of ours, as a host app's token may be."""
    if not head.authorization:
        return None
    if len(head.authorization) > 1 or "," in head.authorization[0] or len(head.authorization[0]) > MAX_AUTHORIZATION:
        return ""
    scheme, _, token = head.authorization[0].strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def missing_key_error() -> AuthenticationError:
    """Return the error for nobody."""
    return AuthenticationError(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY)."
    )


def incorrect_key_error(token: str) -> AuthenticationError:
    """Return the error for a key that is not known, disabled or expired; of the key it shows the two ends at most."""
    shown = f"{token[:5]}***{token[-2:]}" if _SHOWABLE.fullmatch(token) else "***"
    return AuthenticationError(f"Incorrect API key provided: {shown}.", code="invalid_api_key")
