"""The schema of an answer, as Anthropic's structured outputs take it: each of its objects is closed.

Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs.
"""

from collections.abc import Mapping
from typing import Any, Final

from completions_mw.providers.untranslatable import untranslatable

_VALUES: Final = frozenset({"const", "default", "enum", "examples"})
"""Keywords of JSON Schema that have values."""
_NAMED: Final = frozenset({"$defs", "definitions", "patternProperties", "properties"})
"""Keywords whose value is an object of schemas, the names of which may be those of keywords."""


def answer_schema(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema in the `response_format` of a request; None if it has none.

    Objects that do not say so are closed to further properties: what matches the closed schema matches the client's.

    Raises:
        InvalidRequestError: the format is `json_schema`, and has no schema.
    """
    response_format = fields.get("response_format")
    if response_format is None or response_format["type"] != "json_schema":
        return None
    schema = response_format["json_schema"].get("schema")
    if not schema:
        raise untranslatable("response_format.json_schema.schema", "needs a schema, and takes none that is empty")
    closed: dict[str, Any] = _closed(schema)
    return closed


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed_within(name, value) for name, value in schema.items()}
    return {"additionalProperties": False, **closed} if schema.get("type") == "object" else closed


def _closed_within(name: str, value: Any) -> Any:
    if name in _NAMED and isinstance(value, dict):
        return {inner: _closed(schema) for inner, schema in value.items()}
    return value if name in _VALUES else _closed(value)
