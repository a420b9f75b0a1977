"""The text of content that is not text: numbers, and lists of parts (docs/contract.md, Answers)."""

from typing import Any, Final, NamedTuple

from pydantic_core import to_json

_TEXT_TYPES: Final = frozenset({"text", "output_text"})
_THOUGHT_TYPES: Final = frozenset({"thinking", "reasoning", "reasoning_text", "summary_text", "thought"})
_TEXT_NAMES: Final = ("text", "content", "thinking", "reasoning", "summary", "refusal")
"""Members of a part that may hold its text."""


class Content(NamedTuple):
    """Content, taken apart."""

    text: str
    thoughts: str
    others: list[Any]
    """Parts that are neither text nor thoughts, as images."""


def read_content(content: object) -> Content:
    """Return the text, the thoughts and the other parts of content that is not text."""
    text, thoughts = "", ""
    others: list[Any] = []
    for part in content if isinstance(content, list) else [content]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in _THOUGHT_TYPES:
            thoughts += as_text(part)
        elif kind in _TEXT_TYPES or (isinstance(part, dict) and kind is None and isinstance(part.get("text"), str)):
            text += as_text(part)
        elif isinstance(part, dict | list):
            others.append(part)
        else:
            text += as_text(part)
    return Content(text, thoughts, others)


def as_text(value: object) -> str:
    """Return the text of a part of content; a number or boolean as JSON writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(as_text, value))
    if isinstance(value, dict):
        return next((as_text(value[name]) for name in _TEXT_NAMES if value.get(name)), "")
    return "" if value is None else to_json(value, inf_nan_mode="null").decode()
