"""Tools that a request forces on the model, for models that make no tool calls by themselves."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ForcedCall:
    """A call that a request forces on the model: the model must call one of `functions`."""

    functions: tuple[dict[str, Any], ...]
    """Definitions, in the order of the request: `name`, perhaps `description` and `parameters`."""
    legacy: bool = False
    """Whether the request has `functions` and `function_call`, so that the answer has `function_call` instead of `tool_calls`."""

    @property
    def finish_reason(self) -> str:
        return "function_call" if self.legacy else "tool_calls"

    def opening(self, name: str) -> dict[str, Any]:
        """Return the delta that begins a call."""
        function = {"name": name, "arguments": ""}
        if self.legacy:
            return {"role": "assistant", "content": None, "function_call": function}
        call = {"index": 0, "id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    def fragment(self, arguments: str) -> dict[str, Any]:
        """Return the delta that goes on with the arguments of a call."""
        function = {"arguments": arguments}
        return {"function_call": function} if self.legacy else {"tool_calls": [{"index": 0, "function": function}]}


def forced_call(body: Mapping[str, Any]) -> ForcedCall | None:
    """Return the call that `tool_choice` or `function_call` forces, if any.

    Args:
        body: the request as the client sent it.
    """
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        allowed = choice["allowed_tools"]
        names = {(tool.get("function") or {}).get("name") for tool in allowed["tools"]}
        return _call(_functions(body), names) if allowed["mode"] == "required" else None
    if isinstance(choice, Mapping) and "function" in choice:
        return _call(_functions(body), {choice["function"]["name"]})
    if choice == "required":
        return _call(_functions(body), None)
    function_call = body.get("function_call")
    if isinstance(function_call, Mapping):
        return _call(body.get("functions") or [], {function_call["name"]}, legacy=True)
    return None


def _functions(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [tool["function"] for tool in body.get("tools") or [] if tool.get("type", "function") == "function"]


def _call(functions: list[dict[str, Any]], names: set[Any] | None, *, legacy: bool = False) -> ForcedCall | None:
    wanted = tuple(function for function in functions if names is None or function["name"] in names)
    return ForcedCall(wanted, legacy) if wanted else None
