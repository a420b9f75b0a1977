"""The smallest value that a JSON schema allows, for the echo model: only common keywords are read."""

from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 16
"""Depth at which a schema that contains itself is cut off."""


def example(schema: Mapping[str, Any], text: str) -> Any:
    """Return a small instance of `schema`.

    Args:
        schema: as in `response_format.json_schema.schema`.
        text: the value of strings that the schema leaves open.
    """
    return _value(schema, schema, text, MAX_DEPTH)


def _value(schema: Mapping[str, Any], root: Mapping[str, Any], text: str, depth: int) -> Any:
    if depth == 0:
        return None
    if "$ref" in schema:
        return _value(_referred(schema["$ref"], root), root, text, depth - 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return _value(schema[union][0], root, text, depth - 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _of_type(kind if isinstance(kind, str) else str(kind[0]), schema, root, text, depth)


def _of_type(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any], text: str, depth: int) -> Any:
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: _value(properties.get(name) or {}, root, text, depth - 1) for name in schema.get("required") or properties}
    if kind == "array":
        return [_value(schema.get("items") or {}, root, text, depth - 1)] * schema.get("minItems", 0)
    if kind == "string":
        return text[: schema.get("maxLength")].ljust(schema.get("minLength", 0), "-")
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return False if kind == "boolean" else None


def _referred(pointer: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema that a reference into the same document names; any other reference stands for a schema that allows everything."""
    schema: Any = root
    for name in pointer.removeprefix("#").split("/")[1:]:
        schema = schema.get(name.replace("~1", "/").replace("~0", "~"), {})
    return schema if isinstance(schema, Mapping) else {}
