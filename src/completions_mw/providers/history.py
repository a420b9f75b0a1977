"""Earlier answers in a request, without the members that other vendors' APIs have added to them.

A conversation may go on with another target, and clients send answers back as they got them. Some services refuse members that they do not
know.
"""

from collections.abc import Iterable
from typing import Any, Final

_OF_CALLS: Final = "extra_content"
_ADDED: Final = frozenset({"content_parts", "reasoning_content", "thinking_blocks", _OF_CALLS})
"""Members of answers that hold thoughts, their signatures, and images."""


def without_additions(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages without the members that wire formats of this package add to answers."""
    return [_plain(message) if message["role"] == "assistant" else message for message in messages]


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if calls and any(_OF_CALLS in call for call in calls):
        plain = [{name: value for name, value in call.items() if name != _OF_CALLS} for call in calls]
        message = {**message, "tool_calls": plain}
    return message if _ADDED.isdisjoint(message) else {name: value for name, value in message.items() if name not in _ADDED}
