"""Who is calling: a key of the settings, or whoever the host app's own login says."""

import hmac
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from completions_mw.core.head import Head
from completions_mw.core.ports import Clock
from completions_mw.errors import AuthenticationError
from completions_mw.http import Request
from completions_mw.settings import KeySettings

MAX_AUTHORIZATION: Final = 512
_SHOWABLE = re.compile(r"[A-Za-z0-9._-]{12,}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may use the endpoint; what an `authenticate` hook returns.

    Args:
        id: the key's id, or the user's in the host app; appears in logs.
        tenant: whose cache entries and shared limits apply; the caller's own by default.
        models: names that the caller may use; None for all.
        metadata: the operator's own notes.
    """

    id: str
    tenant: str = ""
    models: frozenset[str] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tenant", self.tenant or self.id)

    def may_use(self, model: str) -> bool:
        """Tell whether `model` is on the caller's allow list."""
        return self.models is None or model in self.models


Authenticate = Callable[[Request], "Caller | str | Awaitable[Caller | str | None] | None"]
"""A hook of the host app: who sent this request? A `Caller`, an id, or None for nobody."""


@dataclass(frozen=True, slots=True)
class _Key:
    digest: bytes
    caller: Caller
    disabled: bool
    expires_at: float | None


class Authenticator:
    """Finds the caller of a request.

    Keys are held as SHA-256 digests and looked up by digest, so neither the time of the look-up nor a dump of the memory tells
    anything of a key (FAULTS FC-112).
    """

    def __init__(self, keys: Mapping[str, KeySettings], clock: Clock, hook: Authenticate | None = None) -> None:
        self._keys = {key.digest: key for key in (_key(id, settings) for id, settings in keys.items())}
        self._clock = clock
        self._hook = hook

    async def authenticate(self, head: Head, request: Request) -> tuple[Caller, bool]:
        """Return who sent `request`, and whether a key said so.

        Raises:
            AuthenticationError: nobody that we know (SPEC section 9).
        """
        token = _bearer(head)
        caller = self.find(token) if token else None
        if caller is not None:
            return caller, True
        caller = await self._ask(request) if self._hook else None
        if caller is not None:
            return caller, False
        raise _missing() if token is None else incorrect(token)

    def find(self, token: str) -> Caller | None:
        """Return the caller whose key is `token`, if it may be used now."""
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        key = self._keys.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest) or key.disabled:
            return None
        if key.expires_at is not None and key.expires_at <= self._clock.time():
            return None
        return key.caller

    async def _ask(self, request: Request) -> Caller | None:
        assert self._hook is not None
        answer = self._hook(request)
        if inspect.isawaitable(answer):
            answer = await answer
        return Caller(answer) if isinstance(answer, str) and answer else answer or None


def _key(id: str, settings: KeySettings) -> _Key:
    models = None if settings.models is None else frozenset(settings.models)
    caller = Caller(id, settings.tenant or id, models, settings.metadata)
    expires_at = settings.expires_at.timestamp() if settings.expires_at else None
    return _Key(bytes.fromhex(settings.secret_sha256), caller, settings.disabled, expires_at)


def _bearer(head: Head) -> str | None:
    """Return the token, or None where none was given. What cannot be a key is a token that is wrong."""
    if not head.authorization:
        return None
    if len(head.authorization) > 1 or "," in head.authorization[0] or len(head.authorization[0]) > MAX_AUTHORIZATION:
        raise incorrect("")
    scheme, _, token = head.authorization[0].strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _missing() -> AuthenticationError:
    return AuthenticationError(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY)."
    )


def incorrect(token: str) -> AuthenticationError:
    """Return the error for a key that is not known, disabled or expired; of the key it shows the two ends at most."""
    shown = f"{token[:5]}***{token[-2:]}" if _SHOWABLE.fullmatch(token) else "***"
    return AuthenticationError(f"Incorrect API key provided: {shown}.", code="invalid_api_key")
