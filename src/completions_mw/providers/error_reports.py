"""What an upstream says about an error, in whatever shape it says it (docs/contract.md, Errors)."""

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic_core import to_json

from completions_mw.providers.lenient_json import read_first_json

_MESSAGE_NAMES: Final = (
    "message",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "status_msg",
    "detail",
    "faultstring",
    "description",
    "reason",
    "title",
)
_CODE_NAMES: Final = ("code", "error_code", "errorCode", "status_code")
_NESTED_NAMES: Final = ("error", "errors", "detail", "fault", "failure", "base_resp")
_REPORTING_NAMES: Final = (
    "errors",
    "message",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "detail",
    "details",
    "fault",
    "failure",
)
"""Members that make an object without choices the report of an error."""
_MAX_DEPTH: Final = 6
_MAX_ERRORS: Final = 8
_MIN_ERROR_STATUS: Final = 400
_FAILED: Final = re.compile("error|fail|abort|cancel|unavailable|exhausted|denied|invalid|timeout", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Report:
    """An error as an upstream describes it; empty where it says nothing."""

    message: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None


def find_report(body: bytes) -> Report:
    """Return what the body of a refusal says: JSON in any of its shapes, also with text behind it, or plain text."""
    value = read_first_json(body)
    if value is not None:
        return read_report(value)
    text = body.decode(errors="replace").strip()
    return Report() if text.startswith("<") or not text.isprintable() else Report(text)


def is_report(data: dict[str, Any]) -> bool:
    """Return whether an object in place of an answer reports an error, which a ping or usage alone does not."""
    if data.get("object") == "error" or data.get("type") == "error":
        return True
    if isinstance(data.get("choices"), list) or data.get("type") == "ping":
        return False
    base, status = data.get("base_resp"), data.get("status")
    if isinstance(base, dict) and base.get("status_code"):
        return True
    if any(data.get(name) for name in _REPORTING_NAMES) or data.get("code") or data.get("success") is False:
        return True
    return status >= _MIN_ERROR_STATUS if isinstance(status, int) else isinstance(status, str) and bool(_FAILED.search(status))


def read_report(value: object, depth: int = 0) -> Report:
    """Return what an upstream says about an error.

    Args:
        value: the error as the upstream sent it: an object, a list of them, or a text.
        depth: number of objects around it.
    """
    if isinstance(value, str):
        return Report(value)
    if depth > _MAX_DEPTH:
        return Report()
    if isinstance(value, list):
        reports = [read_report(item, depth + 1) for item in value[:_MAX_ERRORS]]
        messages = dict.fromkeys(report.message for report in reports if report.message)
        return replace(reports[0], message="; ".join(messages)) if reports else Report()
    return _read_object(value, depth) if isinstance(value, dict) else Report()


def _read_object(value: dict[str, Any], depth: int) -> Report:
    own = Report(
        message=next((text for name in _MESSAGE_NAMES if (text := _message(value.get(name), depth))), ""),
        type=_name(value.get("type")),
        code=next((code for name in _CODE_NAMES if (code := _name(value.get(name)))), None),
        param=_name(value.get("param")) or _path(value.get("loc")),
    )
    for name in _NESTED_NAMES:
        inner = value.get(name)
        # A text beside a message is the name of the error.
        if inner and (isinstance(inner, dict | list) or (isinstance(inner, str) and not own.message)):
            nested = read_report(inner, depth + 1)
            return Report(
                nested.message or own.message,
                nested.type or (own.type if own.type != "error" else None),
                nested.code or own.code,
                nested.param or own.param,
            )
    return own


def _message(value: object, depth: int) -> str:
    """Return a message, which some upstreams send as an object: its text, else the object as JSON."""
    if not isinstance(value, dict | list):
        return value.strip() if isinstance(value, str) else ""
    return read_report(value, depth + 1).message or (to_json(value).decode() if value else "")


def _name(value: object) -> str | None:
    """Return `value` as a string if it is a number, as in the error codes of some servers, or a string that is not empty; else None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value else None
    return value if isinstance(value, str) and value else None


def _path(value: object) -> str | None:
    """Return the path of FastAPI's `loc`, which begins with `body`, as OpenAI writes it."""
    if not isinstance(value, list):
        return None
    path = ""
    for step in value[1:] if value[:1] == ["body"] else value:
        path += f"[{step}]" if isinstance(step, int) else f"{'.' if path else ''}{step}"
    return path or None
