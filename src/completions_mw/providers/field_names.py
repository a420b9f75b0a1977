"""Error messages of an API that name its fields, put in the names of OpenAI's parameters: clients know no others."""

import re
from collections.abc import Sequence

FieldNames = Sequence[tuple[re.Pattern[str], str]]
"""Patterns of an API's fields, each with the rest of its path, and the parameters of OpenAI's API that the fields come from."""


def compiled(**patterns: str) -> FieldNames:
    """Return `FieldNames` from patterns by the name of OpenAI's parameter."""
    return tuple((re.compile(pattern, re.IGNORECASE), name) for name, pattern in patterns.items())


def in_our_names(text: str, names: FieldNames) -> tuple[str, str | None]:
    """Return a message with the names of OpenAI's parameters, and the parameter that it names first; None if it names none."""
    found: list[tuple[int, str]] = []
    for pattern, name in names:
        if (match := pattern.search(text)) is not None:
            found.append((match.start(), name))
            text = pattern.sub(name, text)
    return text, min(found)[1] if found else None
