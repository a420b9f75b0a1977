"""What a wire format is: pure functions between our vocabulary and an upstream's API."""

from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from completions_mw.errors import GatewayError
from completions_mw.http import ClientConnection, Headers, Timeouts, UpstreamRequest
from completions_mw.sse import Event, ServerSentEvent

MAX_MESSAGE: Final = 2000
"""Characters of an upstream's error message that a client gets."""
MAX_NAME: Final = 200
"""Characters of the type, code and param of an upstream's error."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an upstream is and how it is called; made once for each provider of the settings."""

    url: str
    headers: Headers = field(repr=False)
    timeouts: Timeouts
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Strings that may stand in the upstream's error texts and must not reach a client; the longest first: an address holds its host."""
    unsupported: frozenset[str] = frozenset()
    """Parameters of ours that this upstream refuses, so that they are left out."""
    max_tokens: str = "max_tokens"
    """What it calls the maximum of tokens that we ask for ourselves."""

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


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: a `chat.completion` object, and the bytes it was parsed from if they can be relayed as they came."""

    data: dict[str, Any]
    raw: bytes | None = None


class WireFormat(Protocol):
    """One API of chat models. Implemented by the modules of this package."""

    def build_request(
        self, endpoint: Endpoint, model: str, fields: dict[str, Any], connection: ClientConnection | None = None
    ) -> UpstreamRequest:
        """Return the upstream's request for a validated request of ours, asking for `model`."""
        ...

    def parse_completion(self, body: bytes) -> Completion:
        """Return the answer that stands in `body`.

        Raises:
            UpstreamError: it is not an answer.
        """
        ...

    def parse_event(self, event: ServerSentEvent) -> Event:
        """Return one event of a stream, `DONE` for its end.

        Raises:
            GatewayError: it reports an error, or is not an event of this API.
        """
        ...

    def parse_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """Return what an answer other than 200 means for our client. Whoever calls it takes the endpoint's secrets out of the error."""
        ...
