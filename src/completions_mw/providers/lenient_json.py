"""JSON that is not quite JSON, as some servers send it. Read only where the strict parser has failed."""

import json
from typing import Any, Final

_DECODER: Final = json.JSONDecoder(parse_constant=lambda _: None)
"""Takes NaN and Infinity for null, and halves of surrogate pairs as they are."""


def read_lenient(body: bytes) -> Any:
    """Return the value in `body`, whose NaN and Infinity are null.

    A half of a surrogate pair becomes U+FFFD, except in the texts of a `delta`, where the other half may come in the next chunk.

    Raises:
        ValueError: the body is not JSON in UTF-8, or nested too deeply.
    """
    try:
        return _without_halves(_DECODER.decode(body.decode()))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_json_object(body: bytes) -> bool:
    """Return whether `body` is a whole JSON object or list, however loosely written."""
    try:
        return isinstance(read_lenient(body), dict | list)
    except ValueError:
        return False


def read_first_json(body: bytes) -> Any:
    """Return the object or list with which `body` begins, whatever stands behind it; None if it begins with none."""
    text = body.decode(errors="replace").lstrip("\ufeff \t\r\n")
    if not text.startswith(("{", "[")):
        return None
    try:
        return _without_halves(_DECODER.raw_decode(text)[0])
    except (ValueError, RecursionError):
        return None


def _without_halves(value: Any, *, keeps_texts: bool = False) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_halves(item) for item in value]
    if isinstance(value, dict):
        return {
            _without_halves(name): item if keeps_texts and isinstance(item, str) else _without_halves(item, keeps_texts=name == "delta")
            for name, item in value.items()
        }
    return value
