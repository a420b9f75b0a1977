"""The wire format of OpenAI's chat completions, spoken by OpenAI and by every compatible server.

Requests are sent as they were validated, with duplicate keys and odd spacing gone (FAULTS FC-31); answers are relayed as they came.
Source: the OpenAPI description of the OpenAI API, as SPEC.md quotes it.
"""

import re
from types import NoneType
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic_core import from_json, to_json

from completions_mw.errors import (
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RequestTooLargeError,
    UpstreamError,
    UpstreamTimeoutError,
)
from completions_mw.http import ClientConnection, Headers, Timeouts, UpstreamRequest
from completions_mw.providers.base import Completion, Endpoint
from completions_mw.settings import OpenAISettings
from completions_mw.sse import DONE, Event, ServerSentEvent

SHORTEST_SECRET: Final = 4
"""Characters: a header value as `a` is no secret, and taking it out would leave no text."""
_DICT_OR_NONE: Final = (dict, NoneType)
REFUSED_BY_HOST: Final = {"api.openai.com": frozenset({"top_k"})}
"""Our extensions that a known server refuses; other compatible servers (vLLM, Ollama, llama.cpp) take them."""
OPENAI_HOSTS: Final = ("api.openai.com", ".openai.azure.com")
"""Their reasoning models refuse `max_tokens`, the older name, which all compatible servers know."""


def build_endpoint(settings: OpenAISettings) -> Endpoint:
    """Return the endpoint of a provider of the settings."""
    secret = settings.api_key.get_secret_value() if settings.api_key else ""
    extra = {name: value.get_secret_value() for name, value in settings.headers.items()}
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "authorization": f"Bearer {secret}" if secret else "",
        "openai-organization": settings.organization or "",
        "openai-project": settings.project or "",
        **extra,
    }
    parts = urlsplit(settings.base_url)
    # Account and gateway names stand in some paths; `/v1` alone tells nothing.
    path = "" if re.fullmatch(r"/v\d+", parts.path) else parts.path
    told = (secret, settings.base_url, parts.netloc, path, settings.organization or "", settings.project or "", *extra.values())
    timeouts = settings.timeouts
    return Endpoint(
        url=settings.base_url.rstrip("/") + "/chat/completions",
        headers=tuple((name, value) for name, value in headers.items() if value),
        timeouts=Timeouts(timeouts.connect, timeouts.first_byte, timeouts.between_events, timeouts.total),
        secrets=tuple(sorted((text for text in told if len(text) >= SHORTEST_SECRET), key=len, reverse=True)),
        unsupported=REFUSED_BY_HOST.get(parts.hostname or "", frozenset()),
        max_tokens="max_completion_tokens" if (parts.hostname or "").endswith(OPENAI_HOSTS) else "max_tokens",
    )


def build_request(endpoint: Endpoint, model: str, fields: dict[str, Any], connection: ClientConnection | None = None) -> UpstreamRequest:
    """Return the upstream's request: the model's name there, and usage asked for in every stream."""
    body = {name: value for name, value in fields.items() if name not in endpoint.unsupported}
    body["model"] = model
    if body.get("stream"):
        body["stream_options"] = {**body.get("stream_options", {}), "include_usage": True}
    return UpstreamRequest(endpoint.url, endpoint.headers, to_json(body), timeouts=endpoint.timeouts, connection=connection)


def parse_completion(body: bytes) -> Completion:
    """Return the `chat.completion` object in `body`."""
    data = _json_object(body)
    if data.get("error"):
        raise _reported(data["error"])
    if not data.get("choices") or not _are_choices(data["choices"], "message"):
        raise _unusable()
    return Completion(data, body)


def parse_event(event: ServerSentEvent) -> Event:
    """Return a chunk of a stream."""
    if event.data == b"[DONE]":
        return DONE
    data = _json_object(event.data)
    if data.get("error"):
        raise _reported(data["error"])
    if event.event == "error" or data.get("object") == "error":
        raise _reported(data)
    if data.get("choices") and not _are_choices(data["choices"], "delta"):
        raise _unusable()
    return Event(data, event.data)


def parse_error(status: int, headers: Headers, body: bytes) -> GatewayError:
    """Return what an error answer means for our client (FAULTS section 5).

    What the client can mend keeps the upstream's text, code and param; what only the operator can mend gets a fixed text.
    """
    report = _error_object(body)
    error = _refusal(status, headers, report)
    error.upstream_code = _text(report.get("code"))
    return error


def _refusal(status: int, headers: Headers, report: dict[str, Any]) -> GatewayError:
    message = str(report.get("message") or "The upstream provider refused the request.")
    code, param = _text(report.get("code")), _text(report.get("param"))
    if status in (400, 422):
        return InvalidRequestError(message, code=code, param=param)
    if status == 404 and code == "model_not_found":
        unknown = NotFoundError("The upstream provider does not know this model.", code=code)
        unknown.next_target = True
        return unknown
    if status == 413:
        return RequestTooLargeError(message)
    if status == 429 and code != "insufficient_quota":
        advice = tuple((name, value) for name, value in headers if name in ("retry-after", "retry-after-ms") and len(value) < 32)
        # OpenAI's own text names the operator's organization and the model behind an alias.
        text = "The upstream provider has too many requests. Please try again later."
        return RateLimitError(text, code="upstream_rate_limited", type=_text(report.get("type")), headers=advice)
    if status in (408, 504):
        return UpstreamTimeoutError("The upstream provider did not answer in time.")
    return UpstreamError(f"The upstream provider failed (status {status}).", code="upstream_error")


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise _unusable() from None
    if not isinstance(data, dict):
        raise _unusable()
    return data


def _are_choices(choices: object, content: str) -> bool:
    if not isinstance(choices, list):
        return False
    for choice in choices:  # noqa: SIM110 - a generator costs as much as all the checks, for each chunk
        if not isinstance(choice, dict) or not isinstance(choice.get(content), _DICT_OR_NONE):
            return False
    return True


def _unusable() -> UpstreamError:
    return UpstreamError("The upstream provider sent an answer that is not a chat completion.", code="upstream_protocol_error")


def _reported(error: object) -> UpstreamError:
    """Normalise an error inside an answer: an object (OpenAI), a flat one (vLLM), or a plain string."""
    details = error if isinstance(error, dict) else {"message": error}
    message = details.get("message")
    code = _text(details.get("code"))
    reported = UpstreamError(
        message if isinstance(message, str) and message else "The upstream provider reported an error.",
        type=_text(details.get("type")),
        code=code,
        param=_text(details.get("param")),
    )
    reported.upstream_code = code
    return reported


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        data = from_json(body)
    except ValueError:
        return {}
    error = data.get("error", data) if isinstance(data, dict) else {}
    return error if isinstance(error, dict) else {"message": error}


def _text(value: object) -> str | None:
    """Return a string that the upstream sent where a string belongs; numbers are codes of some servers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
