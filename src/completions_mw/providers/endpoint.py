"""The endpoint of an upstream, and the secrets that its errors must not show to clients."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from completions_mw.errors import GatewayError
from completions_mw.http import Headers, Timeouts
from completions_mw.settings.providers import UpstreamSettings

MIN_SECRET_CHARS: Final = 4
"""Minimum length of a credential that is removed from error texts: without a value such as `a` no text would be readable."""
MAX_MESSAGE_CHARS: Final = 2000
"""Maximum of characters that a client gets of an upstream's error message."""
MAX_NAME_CHARS: Final = 200
"""Maximum of characters that a client gets of the type, code or param of an upstream's error."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """URL, headers, timeouts and secrets of an upstream. Made once for each provider in the settings."""

    url: str
    """URL of every request, or the beginning of the URLs of all requests, as the wire format needs it."""
    headers: Headers = field(repr=False)
    timeouts: Timeouts
    """Timeouts of streams."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Strings that no error may show to a client, the longest first; made by `secrets_of`."""
    whole_timeouts: Timeouts = field(init=False)
    """Timeouts of whole answers, which come at their end: nothing but `total` bounds the silence before it."""

    def __post_init__(self) -> None:
        total = self.timeouts.total
        object.__setattr__(self, "whole_timeouts", replace(self.timeouts, first_byte=total, between_events=total))

    def redact(self, error: GatewayError, more: Iterable[str] = ()) -> None:
        """Replace secrets in every text of `error`, and cut the texts to their bounds (docs/promises.md, Secrets).

        Args:
            error: error of this upstream.
            more: secrets that were sent in one request, beside those of the endpoint.
        """
        secrets = (*more, *self.secrets)
        error.message = _without(secrets, error.message)[:MAX_MESSAGE_CHARS]
        # `str(error)` and tracebacks show these.
        error.args = (error.message,)
        error.type = _without(secrets, error.type)[:MAX_NAME_CHARS]
        for name in ("code", "param", "upstream_code"):
            text = getattr(error, name)
            if text is not None:
                # Cut last: half a secret would not be found and replaced.
                setattr(error, name, _without(secrets, text)[:MAX_NAME_CHARS])


def endpoint_of(settings: UpstreamSettings, url: str, headers: Mapping[str, str], accounts: Iterable[str] = ()) -> Endpoint:
    """Return the endpoint of a provider in the settings.

    Args:
        settings: settings of the provider, whose own `headers` are sent too.
        url: URL of every request, or the beginning of the URLs, as the wire format needs it.
        headers: headers of the wire format by name; those with an empty value are left out.
        accounts: names of accounts in `headers`, which are as secret as the API key.
    """
    extra = {name: value.get_secret_value() for name, value in settings.headers.items()}
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    sent = {"content-type": "application/json", "accept": "application/json, text/event-stream", **headers, **extra}
    timeouts = settings.timeouts
    return Endpoint(
        url=url,
        headers=tuple((name, value) for name, value in sent.items() if value),
        timeouts=Timeouts(timeouts.connect, timeouts.first_byte, timeouts.between_events, timeouts.total),
        secrets=secrets_of(settings.base_url, (key, *accounts, *extra.values())),
    )


def bearer(settings: UpstreamSettings) -> str:
    """Return the value of the header `authorization` with the API key of a provider; empty if the provider has none."""
    return f"Bearer {settings.api_key.get_secret_value()}" if settings.api_key else ""


def secrets_of(base_url: str, credentials: Iterable[str]) -> tuple[str, ...]:
    """Return the strings that a client must not see in an upstream's errors, the longest first.

    Args:
        base_url: the upstream's base URL, whose host and path are secrets too.
        credentials: API keys, account names and values of extra headers; short and empty ones are left out.
    """
    parts = urlsplit(base_url)
    # Some paths hold names of accounts or gateways; `/v1` alone reveals nothing.
    path = "" if re.fullmatch(r"/v\d+", parts.path) else parts.path
    found = {text for text in (base_url, parts.netloc, path, *credentials) if len(text) >= MIN_SECRET_CHARS}
    return longest_first(found)


def longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return secrets in the order in which they are replaced: one that contains another, as an address its host, comes before it."""
    return tuple(sorted(secrets, key=lambda secret: (-len(secret), secret)))


def _without(secrets: Iterable[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
