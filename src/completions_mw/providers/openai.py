"""The wire format of OpenAI's chat completions API, which every compatible server speaks too.

Requests are sent as they were validated, and answers are relayed as they were received (docs/contract.md, Requests and Streams). Source:
OpenAI's API reference, https://platform.openai.com/docs/api-reference/chat.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw.errors import UpstreamError
from completions_mw.http import UpstreamRequest
from completions_mw.providers.base import Completion, Translator
from completions_mw.providers.endpoint import Endpoint, bearer, endpoint_of
from completions_mw.providers.error_reports import is_report
from completions_mw.providers.history import without_additions
from completions_mw.providers.lenient_json import is_json_object, read_lenient
from completions_mw.providers.openai_errors import parse_error, reported_error
from completions_mw.settings import OpenAISettings
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.compatible import capabilities_at
from completions_mw.sse import DONE, EVENT_STREAM, Decoder, Event, ServerSentEvent

__all__ = [
    "build_endpoint",
    "build_request",
    "capabilities_of",
    "open_stream",
    "parse_completion",
    "parse_error",
    "parse_event",
    "stream_content_type",
]

stream_content_type: Final = EVENT_STREAM
_MESSAGE_TYPES: Final = (dict, str, NoneType)


def build_endpoint(settings: OpenAISettings) -> Endpoint:
    """Return the endpoint of a provider in the settings."""
    accounts = {"openai-organization": settings.organization or "", "openai-project": settings.project or ""}
    headers = {"authorization": bearer(settings), **accounts}
    return endpoint_of(settings, settings.base_url.rstrip("/") + "/chat/completions", headers, accounts.values())


def capabilities_of(settings: OpenAISettings) -> Capabilities:
    """Return what a provider in the settings supports."""
    capabilities = capabilities_at(settings.base_url)
    return capabilities if settings.stream_options else capabilities.without("stream_options")


def build_request(
    endpoint: Endpoint,
    capabilities: Capabilities,
    model: str,
    fields: Mapping[str, Any],
    max_tokens: int | None = None,
) -> UpstreamRequest:
    """Return the HTTP request for `fields`. A stream asks for its usage too, unless the upstream does not support `stream_options`."""
    body = {**fields, "model": model}
    _rename_maximum(body, capabilities.max_tokens, max_tokens)
    for name, theirs in capabilities.renamed.items():
        if name in body:
            body[theirs] = body.pop(name)
    if not capabilities.developer_role:
        body["messages"] = [{**message, "role": "system"} if message["role"] == "developer" else message for message in body["messages"]]
    if not capabilities.takes_additions:
        body["messages"] = without_additions(body["messages"])
    # These say the same as leaving them out, and some services refuse them.
    if body.get("top_k", 1) < capabilities.min_top_k:
        del body["top_k"]
    if body.get("stop") == []:
        del body["stop"]
    timeouts = endpoint.whole_timeouts
    if body.get("stream"):
        timeouts = endpoint.timeouts
        options = body.pop("stream_options", {})
        if "stream_options" not in capabilities.unsupported:
            body["stream_options"] = {**options, "include_usage": True}
    return UpstreamRequest(endpoint.url, endpoint.headers, to_json(body), timeouts=timeouts)


def _rename_maximum(body: dict[str, Any], name: str, cap: int | None) -> None:
    """Put the maximum of completion tokens under the one name that the upstream knows: `cap`, else the larger one of the request."""
    found = [body.pop(one) for one in ("max_tokens", "max_completion_tokens") if one in body]
    if cap is not None or found:
        body[name] = cap if cap is not None else max(found)


def parse_completion(body: bytes) -> Completion:
    """Return the `chat.completion` object in the body of an answer.

    Raises:
        UpstreamError: the body reports an error, or is not a chat completion.
    """
    raw: bytes | None = body
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError:
        data, raw = _read_leniently(body), None
    if not isinstance(data, dict):
        raise _wrong(data)
    if "error" in data:
        if data["error"]:
            raise reported_error(data)
        del data["error"]
        raw = None
    choices = data.get("choices")
    if not choices:
        raise _wrong(data)
    _check_choices(data, "message", len(body))
    return Completion(data, raw)


def open_stream(max_event_bytes: int) -> Translator:
    """Return the translator of one streamed answer: server-sent events, each of which is a chunk already."""
    return _Chunks(max_event_bytes)


class _Chunks(Translator):
    __slots__ = ("_decoder",)

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__()
        self._decoder = Decoder(max_event_bytes)

    def _translate(self, piece: bytes, events: list[Event]) -> None:
        for event in self._decoder.feed(piece):
            if (chunk := parse_event(event)) is not None:
                events.append(chunk)  # noqa: PERF401 - a comprehension would lose the events before a fault

    def _finish(self, events: list[Event]) -> None:
        # Only an error: any other event that was not ended may have been cut.
        rest = self._decoder.end()
        if rest is not None and is_json_object(rest.data):
            parse_event(rest)


def parse_event(event: ServerSentEvent) -> Event | None:
    """Return the chunk in a server-sent event, or `DONE`; None for an event without data.

    Raises:
        UpstreamError: the event reports an error, or is not a chunk.
    """
    body, name = event
    if body == b"[DONE]":
        return DONE
    # Repeated from `parse_completion`: for each chunk a function call would cost more than the statements themselves.
    raw: bytes | None = body
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError:
        stripped = body.strip()
        if stripped in (b"", b"[DONE]"):
            return DONE if stripped else None
        if name == "error" and not stripped.startswith((b"{", b"[", b"<")):
            raise reported_error(stripped.decode(errors="replace")) from None
        data, raw = _read_leniently(body), None
    if not isinstance(data, dict):
        raise _wrong(data)
    if "error" in data:
        if data["error"]:
            raise reported_error(data)
        del data["error"]
        raw = None
    choices = data.get("choices")
    if choices:
        _check_choices(data, "delta")
    if name == "error" or (not choices and is_report(data)):
        raise reported_error(data)
    return Event(data, raw)


def _check_choices(data: Mapping[str, Any], content: str, size: int | None = None) -> None:
    """Check that choices are objects with a message, or a piece of it.

    Args:
        data: the answer or chunk.
        content: member that has the message.
        size: bytes of a whole answer, which is billed also if it reports an error; None for a chunk.

    Raises:
        UpstreamError: they are not, or one of them reports an error.
    """
    choices = data["choices"]
    if not isinstance(choices, list):
        raise _unusable()
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get(content), _MESSAGE_TYPES):
            raise _unusable()
        if choice.get("error"):
            error = reported_error(choice["error"])
            error.received, error.usage = size, data.get("usage")
            raise error


def _read_leniently(body: bytes) -> object:
    try:
        return read_lenient(body)
    except ValueError:
        raise _unusable() from None


def _wrong(value: object) -> UpstreamError:
    """Return the error for a value in place of an answer, which may be the report of an error."""
    reports = value if isinstance(value, list) else [value]
    is_error = reports and isinstance(reports[0], dict) and (reports[0].get("error") or is_report(reports[0]))
    return reported_error(value) if is_error else _unusable()


def _unusable() -> UpstreamError:
    return UpstreamError("The upstream provider sent an answer that is not a chat completion.", code="upstream_protocol_error")
