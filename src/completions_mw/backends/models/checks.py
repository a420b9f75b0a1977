"""Checks of the dicts that a user's model yields: members may be left out, and none may be wrong.

Errors name members and types only, since values are content.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from completions_mw.schemas.base import Output
from completions_mw.schemas.chunk import AudioDelta, FunctionDelta
from completions_mw.schemas.response import Logprobs, Usage
from completions_mw.settings.base import suggestion

_MAX_NAME_LENGTH: Final = 40
_MAX_NAMES: Final = 8
_FIELDS_WITHOUT_CONTENT: Final = ("role", "finish_reason", "usage")


class _Shape(Output):
    # Not deferred as other answers are: a gateway imports this module when it is made, so that no request pays for the build.
    model_config = ConfigDict(defer_build=False)


class CustomPart(_Shape):
    """A fragment of a call of a custom tool; the fragments of `input` are joined."""

    name: str | None = None
    input: str | None = None


class CallPart(_Shape):
    """A tool call, or a fragment of one."""

    index: Annotated[int, Field(ge=0)] = 0
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None
    custom: CustomPart | None = None


class MessagePart(_Shape):
    """A message, or a delta."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    """Another name of `reasoning`. Neither is OpenAI's; many providers have one of them."""
    annotations: list[dict[str, Any]] | None = None
    audio: AudioDelta | None = None
    function_call: FunctionDelta | None = None
    tool_calls: list[CallPart] | None = None


class LooseItem(MessagePart):
    """A delta without a chunk around it, with the members that a chunk has beside its delta."""

    finish_reason: str | None = None
    usage: Usage | None = None


class ChoicePart(_Shape):
    """A choice of a chunk or of a completion."""

    index: Annotated[int, Field(ge=0)] = 0
    delta: MessagePart | None = None
    message: MessagePart | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Envelope(_Shape):
    """A chunk or a completion."""

    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    choices: list[ChoicePart]
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    metadata: dict[str, str] | None = None
    moderation: dict[str, Any] | None = None
    obfuscation: str | None = None


ShapeT = TypeVar("ShapeT", bound=_Shape)


def check_delta(item: Mapping[str, Any]) -> None:
    """Check a delta without a chunk around it.

    Raises:
        TypeError: `item` is not a delta.
    """
    _check_additions(item, "", _parsed(LooseItem, item))


def check_chunk(item: Mapping[str, Any]) -> None:
    """Check a chunk.

    Raises:
        TypeError: `item` is not a chunk.
    """
    for position, choice in enumerate(_parsed(Envelope, item).choices):
        if choice.delta is not None:
            _check_additions(item, f"choices[{position}].delta: ", choice.delta)
        elif choice.finish_reason is None:
            raise refused(item, f"choices[{position}] has no `delta` and no `message`")


def check_completion(item: Mapping[str, Any]) -> None:
    """Check a whole completion.

    Raises:
        TypeError: `item` is not a completion.
    """
    for position, choice in enumerate(_parsed(Envelope, item).choices):
        if choice.message is None:
            raise refused(item, f"choices[{position}] has no `message`")
        _check_additions(item, f"choices[{position}].message: ", choice.message)


def _check_additions(item: Mapping[str, Any], path: str, said: MessagePart) -> None:
    """Refuse unknown members of a dict without content, since they are misspelt; beside content a provider may add members."""
    additions = [name for name, value in (said.model_extra or {}).items() if value is not None]
    if additions and said.model_fields_set <= {*_FIELDS_WITHOUT_CONTENT, *additions}:
        raise refused(item, f"{path}`{_shown(additions[0])}` is not known here; {suggestion(additions[0], type(said).model_fields)}")


def refused(item: Mapping[str, Any], fault: str) -> TypeError:
    """Return the error for an item that is not a part of an answer; `fault` says why."""
    names = [f"`{_shown(name)}`" for name in item][:_MAX_NAMES]
    shown = ", ".join(names) + (", ..." if len(item) > _MAX_NAMES else "") if names else "no members"
    return TypeError(f"a model yielded a dict with {shown}, which is no answer, chunk or delta: {fault}")


def _parsed(shape: type[ShapeT], item: Mapping[str, Any]) -> ShapeT:
    try:
        return shape.model_validate(dict(item), strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # Raised outside of the handler: pydantic's error, which would be chained, holds the values.
    raise refused(item, f"{_path(fault['loc'])}: {fault['msg'].removeprefix('Input ')}")


def _path(location: Iterable[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in location).removeprefix(".")


def _shown(name: object) -> str:
    return ascii(name)[:_MAX_NAME_LENGTH].strip("'")
