"""A Python function as a model that does what it is asked without thinking: it calls the tools that it is given, and fills in schemas."""

import json
import re
from collections.abc import Iterator
from typing import Any

from completions_mw import ChatRequest

REPLY = "The answer of a script."


def scripted(request: ChatRequest) -> Iterator[Any]:
    """Call a tool if there are any and none was called, answer in the form that is asked for, else in words."""
    said = request.messages[-1].text
    names = {tool.function.name: tool.function for tool in request.tools or () if tool.type == "function"}
    if names and request.tool_choice != "none" and request.messages[-1].role != "tool":
        chosen = getattr(getattr(request.tool_choice, "function", None), "name", None) or next(iter(names))
        arguments = json.dumps(filled(names[chosen].parameters or {}, said), ensure_ascii=False)
        yield {"tool_calls": [{"function": {"name": chosen, "arguments": arguments}}]}
    elif request.response_format is not None and request.response_format.type == "json_schema":
        yield json.dumps(filled(request.response_format.json_schema.json_schema or {}, said))
    elif request.response_format is not None and request.response_format.type == "json_object":
        yield json.dumps(dict.fromkeys(re.findall(r"'(\w+)'", said), "a word"))
    else:
        yield from re.findall(r"\S+\s*", REPLY)


def filled(schema: dict[str, Any], said: str) -> Any:
    """Return a value that a JSON Schema allows, made of what was said."""
    definitions = schema.get("$defs", {})

    def fill(part: dict[str, Any]) -> Any:
        if "$ref" in part:
            return fill(definitions[part["$ref"].rpartition("/")[2]])
        for choices in ("anyOf", "allOf"):
            if choices in part:
                return fill(part[choices][0])
        if "enum" in part:
            return part["enum"][0]
        match part.get("type"):
            case "object":
                return {name: fill(member) for name, member in part.get("properties", {}).items()}
            case "array":
                return [fill(part["items"])]
            case "integer" | "number":
                return int((re.findall(r"\d+", said) or ["3"])[0])
            case "boolean":
                return True
        return (re.findall("'([^']+)'", said) or [said or "a word"])[0]

    return fill(schema)
