"""The tools of a request and the choice between them, as Anthropic's Messages API takes them.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools.
"""

from collections.abc import Mapping
from typing import Any, Final

from completions_mw.providers.tools import tools_of

_CHOICES: Final = {"none": "none", "auto": "auto", "required": "any", "named": "tool"}


def tool_members(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a request that say which tools there are, and which of them must or may be called.

    Raises:
        InvalidRequestError: a tool is not a function.
    """
    functions, chosen, name = tools_of(fields)
    if not functions:
        return {}
    choice: dict[str, Any] = {"type": _CHOICES[chosen], **({"name": name} if name else {})}
    if fields.get("parallel_tool_calls") is False and chosen != "none":
        choice["disable_parallel_tool_use"] = True
    tools = {"tools": [_tool(function) for function in functions]}
    # The default of the API is left out.
    return tools if choice == {"type": "auto"} else {**tools, "tool_choice": choice}


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    described = {"description": function["description"]} if function.get("description") else {}
    strict = {"strict": True} if function.get("strict") else {}
    schema = {"type": "object", **(function.get("parameters") or {"properties": {}})}
    return {"name": function["name"], **described, "input_schema": schema, **strict}
