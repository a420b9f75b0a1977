"""The message of a whole answer, or a piece of it in a stream, wherever a target puts it (docs/contract.md, Answers)."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final

from completions_mw.core.answers.content import as_text, read_content
from completions_mw.core.answers.tool_call import arguments_of

_TEXT_MEMBERS: Final = ("content", "refusal", "reasoning_content")
_TEXT_TYPES: Final = frozenset({str, NoneType})


def message_in(choice: Mapping[str, Any], *names: str) -> dict[str, Any] | None:
    """Return the message of a choice: the first of its members `names` that is one, else its `text`; None if it has none."""
    for name in names:
        value = choice.get(name)
        if isinstance(value, dict):
            return value
        if isinstance(value, str):
            return {"content": value}
    return None if choice.get("text") is None else {"content": choice["text"]}


def has_text_only(message: Mapping[str, Any]) -> bool:
    """Return whether the content and the older form of a call are text already, so that `with_text` would change nothing."""
    # A loop, because it runs for every answer.
    for name in _TEXT_MEMBERS:
        if type(message.get(name)) not in _TEXT_TYPES:
            return False
    call = message.get("function_call")
    return call is None or (isinstance(call, dict) and isinstance(call.get("arguments", ""), str))


def with_text(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message whose content is text. Thoughts move to `reasoning_content`, images and the like to `content_parts`."""
    corrected = dict(message)
    for name in _TEXT_MEMBERS[1:]:
        if message.get(name) is not None:
            corrected[name] = as_text(message[name])
    content, call = message.get("content"), message.get("function_call")
    if content is not None and not isinstance(content, str):
        found = read_content(content)
        corrected["content"] = found.text
        if found.thoughts:
            corrected["reasoning_content"] = (corrected.get("reasoning_content") or "") + found.thoughts
        if found.others:
            corrected["content_parts"] = found.others
    if isinstance(call, dict):
        corrected["function_call"] = {**call, **({"arguments": arguments_of(call["arguments"])} if "arguments" in call else {})}
    elif call is not None:
        del corrected["function_call"]
    return corrected
