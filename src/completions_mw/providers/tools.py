"""Tools of a chat request, and the calls in its history, for APIs whose only tools are functions."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json

from completions_mw.providers.untranslatable import untranslatable


class Tools(NamedTuple):
    """The functions that a model may call, and whether it must."""

    functions: list[dict[str, Any]]
    """Definitions with `name`, and `description`, `parameters` and `strict` where the client gave them."""
    choice: str = "auto"
    """`auto`, `none`, `required`, or `named` for a call of the function `name`."""
    name: str = ""


def tools_of(fields: Mapping[str, Any]) -> Tools:
    """Return the tools of a request. Those that `allowed_tools` excludes are left out.

    Raises:
        InvalidRequestError: a tool is not a function.
    """
    functions = []
    for position, tool in enumerate(fields.get("tools") or ()):
        if tool["type"] != "function":
            raise untranslatable(f"tools[{position}].type", "has no tools other than functions")
        functions.append(tool["function"])
    choice = fields.get("tool_choice", "auto")
    if isinstance(choice, str):
        return Tools(functions, choice)
    match choice["type"]:
        case "function":
            return Tools(functions, "named", choice["function"]["name"])
        case "allowed_tools":
            allowed = choice["allowed_tools"]
            names = [tool["function"].get("name") for tool in allowed["tools"] if isinstance(tool.get("function"), dict)]
            return Tools([function for function in functions if function["name"] in names], allowed["mode"])
        case _:
            raise untranslatable("tool_choice.type", "has no tools other than functions")


def calls_of(message: Mapping[str, Any], position: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the calls in an assistant message, each with its arguments as an object.

    Args:
        message: message of the assistant.
        position: position of the message in the request, for errors.

    Raises:
        InvalidRequestError: a call is not one of a function, or its arguments are not a JSON object.
    """
    calls = []
    for at, call in enumerate(message.get("tool_calls") or ()):
        path = f"messages[{position}].tool_calls[{at}]"
        if call["type"] != "function":
            raise untranslatable(f"{path}.type", "has no tools other than functions")
        calls.append((call, _object(call["function"]["arguments"], f"{path}.function.arguments")))
    return calls


def called_names(messages: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the name of the called function by the id of the call, for APIs whose results name the function."""
    calls = (call for message in messages for call in message.get("tool_calls") or ())
    return {call["id"]: call["function"]["name"] for call in calls if call["type"] == "function"}


def _object(arguments: str, param: str) -> dict[str, Any]:
    try:
        value = from_json(arguments, allow_inf_nan=False) if arguments.strip() else {}
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise untranslatable(param, "takes arguments only as a JSON object")
    return value
