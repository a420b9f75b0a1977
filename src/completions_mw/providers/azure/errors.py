"""Errors of Azure OpenAI: OpenAI's, and those of its content filter."""

from completions_mw.errors import GatewayError, InvalidRequestError
from completions_mw.http import Headers
from completions_mw.providers import client_errors


def parse_error(status: int, headers: Headers, body: bytes) -> GatewayError:
    """Return the client's error for an answer whose status is not 200. A prompt that the content filter has stopped is billed."""
    error = client_errors.parse_error(status, headers, body)
    if isinstance(error, InvalidRequestError) and error.code == "content_filter":
        error.received = 0
        # The client sent no `prompt`.
        error.param = "messages"
    return error
