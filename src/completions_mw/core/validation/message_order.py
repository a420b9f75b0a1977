"""Which messages may follow which: calls of tools and their results (docs/contract.md, Validation)."""

from collections.abc import Sequence
from typing import Final

from completions_mw.errors import InvalidRequestError
from completions_mw.schemas import Message

_ORPHAN: Final = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
_STRANGER: Final = "Invalid parameter: 'tool_call_id' was not found in 'tool_calls' of the previous message."
_UNANSWERED: Final = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."


def sequence_fault(messages: Sequence[Message]) -> InvalidRequestError | None:
    """Return what is wrong with the order of valid messages, if anything."""
    caller = 0
    calls: frozenset[str] = frozenset()
    unanswered: set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in calls:
                return _fault(_STRANGER, index, "tool_call_id") if calls else _fault(_ORPHAN, index, "role")
            unanswered.discard(message.tool_call_id)
        elif unanswered:
            break
        elif message.role == "assistant" and message.tool_calls:
            caller, calls = index, frozenset(call.id for call in message.tool_calls)
            unanswered = set(calls)
        else:
            calls = frozenset()
    return _fault(_UNANSWERED, caller, "role") if unanswered else None


def _fault(message: str, index: int, member: str) -> InvalidRequestError:
    return InvalidRequestError(message, param=f"messages.[{index}].{member}")
