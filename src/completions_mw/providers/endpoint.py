"""Where an upstream is, how it is called, and what its errors must not show."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from completions_mw.errors import GatewayError
from completions_mw.http import Headers, Timeouts

SHORTEST_SECRET: Final = 4
"""Characters: a header value as `a` is no secret, and taking it out would leave no text."""
MAX_MESSAGE: Final = 2000
"""Characters of an upstream's error message that a client gets."""
MAX_NAME: Final = 200
"""Characters of the type, code and param of an upstream's error."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an upstream is and how it is called; made once for each provider of the settings."""

    url: str
    """Of every request, or what the URLs of its requests begin with: that is for the wire format to say."""
    headers: Headers = field(repr=False)
    timeouts: Timeouts
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What no error may show; made by `secrets_of`."""

    def redact(self, error: GatewayError) -> None:
        """Take this endpoint's secrets out of every text of `error`, and cut each to its bound (docs/promises.md, Secrets)."""
        error.message = self._without_secrets(error.message)[:MAX_MESSAGE]
        # What `str(error)` and tracebacks show.
        error.args = (error.message,)
        error.type = self._without_secrets(error.type)[:MAX_NAME]
        for name in ("code", "param", "upstream_code"):
            text = getattr(error, name)
            if text is not None:
                # Cut last: half a secret would not be found.
                setattr(error, name, self._without_secrets(text)[:MAX_NAME])

    def _without_secrets(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def secrets_of(base_url: str, credentials: Iterable[str]) -> tuple[str, ...]:
    """Return the strings that an upstream's errors may repeat and a client must not see.

    Args:
        base_url: of the upstream; its host and path are secrets too.
        credentials: keys, accounts, values of extra headers; empty ones are left out.
    """
    parts = urlsplit(base_url)
    # Account and gateway names stand in some paths; `/v1` alone tells nothing.
    path = "" if re.fullmatch(r"/v\d+", parts.path) else parts.path
    found = {text for text in (base_url, parts.netloc, path, *credentials) if len(text) >= SHORTEST_SECRET}
    # The longest first: an address holds its host.
    return tuple(sorted(found, key=lambda text: (-len(text), text)))
