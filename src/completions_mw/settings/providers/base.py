"""Base classes of the tables `[providers.<name>]`."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal, NamedTuple, Self, get_args

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from completions_mw.settings.base import SettingsModel, faults
from completions_mw.settings.secrets import ApiKey, HeaderValue, ProxyUrl
from completions_mw.settings.types import BaseUrl, HeaderName, ParamName, Seconds, UnknownParams, UnsupportedParams

_FRAMING_HEADERS: Final = frozenset(
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"]
)
_CONTENT_HEADERS: Final = frozenset(["accept", "accept-encoding", "content-encoding", "content-type"])
_CREDENTIAL_HEADERS: Final = frozenset(["authorization", "proxy-authorization", "proxy-connection"])


class TimeoutSettings(SettingsModel):
    """Seconds that the phases of a call to an upstream may take (docs/promises.md, Bounds)."""

    connect: Seconds = 3.0
    """Seconds until the connection is open."""
    first_byte: Seconds = 120.0
    """Seconds from the end of the request to the first byte of a stream. A whole answer, which comes at its end, may take `total`."""
    between_events: Seconds = 120.0
    """Seconds without a byte of a stream."""
    total: Seconds = 600.0
    """Seconds from the start of the call to the end of the answer, streamed or not."""


class AwsSignature(NamedTuple):
    """How requests to AWS are signed (Signature Version 4)."""

    service: str
    region: str
    profile: str | None
    """Profile in AWS' configuration files with the credentials; None for the default."""


class UpstreamSettings(SettingsModel):
    """Base class of the providers that are reached over HTTP. Their prices come from the settings or the price table, and are never 0."""

    is_local: ClassVar[Literal[False]] = False
    own_headers: ClassVar[frozenset[str]] = frozenset()
    """Headers that the wire format sets itself, and that `headers` must not have."""
    key_variable: ClassVar[str | None] = None
    """Environment variable with the API key of a provider that is named after its `api` and has no table; None if it needs a table."""
    key_is_optional: ClassVar[bool] = False
    """Whether a provider without a table may do without the key in `key_variable`, because it has other credentials."""

    api: str
    base_url: BaseUrl = ""
    """Base URL of the API; by default that of the provider. Never empty once the settings are built."""
    api_key: ApiKey | None = None
    api_keys: tuple[ApiKey, ...] = ()
    """Several API keys instead, which take turns. One that is refused or at its rate limit is passed over for a while."""
    headers: Mapping[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Headers that are sent with every request, their names in lower case. The values are secrets, since many hold credentials."""
    proxy: ProxyUrl | None = None
    """URL of an HTTP proxy through which this provider is reached, by the transport `httpx2`. A secret, since it may hold a password."""
    unknown_params: UnknownParams | None = None
    """What happens to parameters that OpenAI's API does not have, where it differs from the general setting."""
    forward_params: frozenset[ParamName] | None = None
    """Names of parameters that OpenAI's API does not have and this provider gets in any case; by default those of `safe_params`."""
    unsupported_params: UnsupportedParams | None = None
    """What happens to parameters that this provider's models do not take, where it differs from the general setting."""
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    """Timeouts of this provider. Values that are left out come from the general `timeouts` when the settings are built."""

    @classmethod
    def api_name(cls) -> str:
        """Return the value of `api` in the tables of this class."""
        return str(get_args(cls.model_fields["api"].annotation)[0])

    @field_validator("headers")
    @classmethod
    def _refuse_own_headers(cls, headers: Mapping[str, HeaderValue]) -> Mapping[str, HeaderValue]:
        own = headers.keys() & (_FRAMING_HEADERS | _CONTENT_HEADERS | _CREDENTIAL_HEADERS | cls.own_headers)
        if own:
            raise faults(((name,), "is a header that the gateway sets itself") for name in sorted(own))
        return headers

    @field_validator("api_keys")
    @classmethod
    def _refuse_two_settings(cls, keys: tuple[ApiKey, ...], info: ValidationInfo) -> tuple[ApiKey, ...]:
        if keys and info.data.get("api_key") is not None:
            raise ValueError("should not be set beside `api_key`")
        return keys

    def with_each_key(self) -> Sequence[Self]:
        """Return this table once for each of its `api_keys`, as its only `api_key`; a table without them once, as it is."""
        return [self.model_copy(update={"api_key": key, "api_keys": ()}) for key in self.api_keys] or [self]

    def completed(self, name: str, general: TimeoutSettings) -> Self:
        """Return this table with its base URL and timeouts filled in.

        Args:
            name: the provider's name in the settings.
            general: the timeouts of all providers.

        Raises:
            ValidationError: the provider has no base URL, and none is known.
        """
        timeouts = general.model_copy(update=self.timeouts.model_dump(exclude_unset=True))
        return self.model_copy(update={"base_url": self.base_url or self.default_base_url(name), "timeouts": timeouts})

    def default_base_url(self, name: str) -> str:
        """Return the base URL of a provider that names none.

        Args:
            name: the provider's name in the settings.

        Raises:
            ValidationError: there is none.
        """
        raise self.fault(name, "base_url", "is missing")

    def fault(self, name: str, field: str, text: str) -> ValidationError:
        """Return the error for a field of this table that was found wrong after the table was built.

        Args:
            name: the provider's name in the settings.
            field: name of the field.
            text: what is wrong with it.
        """
        # Pydantic names the `api` in such paths too.
        return faults([((name, self.api, field), text)])

    @property
    def safe_params(self) -> frozenset[str]:
        """Parameters of vendors that requests may have without being asked for: none, unless the API is an extension of OpenAI's."""
        return frozenset()

    @property
    def lacks_key(self) -> bool:
        """Whether requests have no credentials that the settings know of, and the API refuses those that have none."""
        return self.key_variable is not None and self.has_no_credentials and self.signature is None

    @property
    def has_no_credentials(self) -> bool:
        """Whether the settings have no API key and no header, which may be one."""
        return self.api_key is None and not self.api_keys and not self.headers

    @property
    def signature(self) -> AwsSignature | None:
        """How requests are signed; None for a provider that gets a constant header, or a token."""
        return None


class LocalSettings(SettingsModel):
    """Base class of the providers whose models run in this process and cost nothing."""

    is_local: ClassVar[Literal[True]] = True

    def completed(self, name: str, general: TimeoutSettings) -> Self:
        """Return this table unchanged: it has no base URL and no timeouts."""
        return self
