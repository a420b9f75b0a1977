"""Who is calling: a key of the settings, or whoever the host app's own login says."""

import hmac
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Final, Literal, Protocol

from completions_mw.core.hooks import uncallable_reason
from completions_mw.core.ports import Clock
from completions_mw.core.validation.headers import RequestHeaders
from completions_mw.errors import AuthenticationError, ConfigurationError, GatewayError, ServiceUnavailableError
from completions_mw.http import Request
from completions_mw.settings import Budget, KeySettings, Limits

MAX_AUTHORIZATION: Final = 512
_SHOWABLE = re.compile(r"[A-Za-z0-9._-]{12,}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may use the endpoint; what an `authenticate` hook returns.

    Args:
        id: the key's id, or the user's in the host app (a number becomes text); appears in logs.
        tenant: on whose behalf the caller acts; its limits and budget are shared. The caller's own id by default.
        models: names that the caller may use; None for all.
        metadata: the operator's own notes.
        limits: instead of those that the settings have for all `callers`.
        budget: likewise.
        max_cost: USD that one request may cost at most; the general one by default.
        scope: `key` for the owners of keys, whose limits are not those of a caller with the same id.

    Raises:
        TypeError: it is nobody, or a rule is not what it should be, as one name for `models` instead of a set of names.
    """

    id: str
    tenant: str = ""
    models: frozenset[str] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    budget: Budget | None = None
    max_cost: Decimal | str | None = None
    scope: Literal["key", "caller"] = "caller"

    def __post_init__(self) -> None:
        if isinstance(self.models, str):
            raise TypeError("a caller's `models` should be a set of names, not str")
        object.__setattr__(self, "id", _id(self.id))
        if self.limits is not None and not isinstance(self.limits, Limits):
            raise TypeError(f"a caller's `limits` should be a Limits, not {type(self.limits).__name__}")
        if self.budget is not None and not isinstance(self.budget, Budget):
            raise TypeError(f"a caller's `budget` should be a Budget, not {type(self.budget).__name__}")
        if self.max_cost is not None:
            object.__setattr__(self, "max_cost", _usd(self.max_cost))
        object.__setattr__(self, "tenant", self.tenant or self.id)

    def may_use(self, model: str) -> bool:
        """Tell whether `model` is on the caller's allow list."""
        return self.models is None or model in self.models


def _usd(value: object) -> Decimal:
    try:
        usd = Decimal(value) if isinstance(value, str | int | Decimal) else Decimal("NaN")
    except InvalidOperation:
        usd = Decimal("NaN")
    if not (usd.is_finite() and usd >= 0):
        raise TypeError("a caller's `max_cost` should be USD as a Decimal or as text")
    return usd


def _id(value: object) -> str:
    # False, 0 and "" are what apps have for nobody; True would be somebody of that name.
    if isinstance(value, str | int) and value and value is not True:
        return str(value)
    raise TypeError(f"a caller's `id` should be text or a number, and not empty, not {type(value).__name__}")


CallerLike = Caller | str | int
"""Who is calling: a `Caller` with rules of its own, or just an id."""
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


def to_caller(who: CallerLike | None) -> Caller | None:
    """Return the caller that the host app names; None where it names nobody."""
    return who if isinstance(who, Caller) else Caller(_id(who)) if who else None


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
