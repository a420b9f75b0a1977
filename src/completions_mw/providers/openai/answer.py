"""Answers of OpenAI's chat completions API: whole ones, and the chunks of streams."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final

from pydantic_core import from_json

from completions_mw.errors import UpstreamError
from completions_mw.providers.base import Completion
from completions_mw.providers.client_errors import reported_error
from completions_mw.providers.error_reports import is_report
from completions_mw.providers.lenient_json import read_lenient
from completions_mw.sse import DONE, Event, ServerSentEvent

_MESSAGE_TYPES: Final = (dict, str, NoneType)


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
