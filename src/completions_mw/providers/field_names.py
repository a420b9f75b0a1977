"""Fields of an API in the texts of its errors, put in the names of OpenAI's API: clients know no others."""

import re
from collections.abc import Sequence

FieldNames = Sequence[tuple[re.Pattern[str], str]]
"""Patterns of an API's fields with all that follows of their paths, and the parameters of OpenAI's API that they come from."""


def compiled(**patterns: str) -> FieldNames:
    """Return the names of fields, each a parameter of OpenAI's API and the pattern of the fields that come from it."""
    return tuple((re.compile(pattern, re.IGNORECASE), name) for name, pattern in patterns.items())


def in_our_names(text: str, names: FieldNames) -> tuple[str, str | None]:
    """Return a text in the names of OpenAI's API, and the parameter that it names first; None if it names none."""
    found: list[tuple[int, str]] = []
    for pattern, name in names:
        if (match := pattern.search(text)) is not None:
            found.append((match.start(), name))
            text = pattern.sub(name, text)
    return text, min(found)[1] if found else None
