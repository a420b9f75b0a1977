"""Messages of the six roles and the parts of their content (docs/contract.md, Requests)."""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Discriminator, Field, Tag

from completions_mw.schemas.base import Input, shape
from completions_mw.schemas.tools import FunctionCall, ToolCall


class CacheBreakpoint(Input):
    """Ends a prefix of the prompt that the provider shall cache."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class ContentPart(Input):
    """What all parts of a content have in common."""

    prompt_cache_breakpoint: CacheBreakpoint | None = None


class TextPart(ContentPart):
    """A piece of text."""

    type: Literal["text"]
    text: str


class ImageUrl(Input):
    """Where an image is: an http(s) or a data URI. The gateway never fetches it."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(ContentPart):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(Input):
    """Audio in base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(ContentPart):
    """A piece of audio."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class FileReference(Input):
    """A file, by id or as base64."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(ContentPart):
    """A file."""

    type: Literal["file"]
    file: FileReference


class RefusalPart(ContentPart):
    """A refusal that an assistant gave earlier."""

    type: Literal["refusal"]
    refusal: str


UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]

PartT = TypeVar("PartT")

_Parts = Annotated[list[PartT], Tag("array"), Field(min_length=1, fail_fast=True)]
Content = Annotated[Annotated[str, Tag("string")] | _Parts[PartT], Discriminator(shape)]
TextContent = Content[TextPart]

RoleT = TypeVar("RoleT")
ContentT = TypeVar("ContentT")


class BaseMessage(Input, Generic[RoleT, ContentT]):
    """What the messages of all roles have in common. The live API takes a content of null from any role (docs/contract.md, Requests)."""

    role: RoleT
    content: ContentT | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """The content as plain text: its text parts joined, the others left out."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content if isinstance(part, TextPart))
        return str(self.content or "")


class SystemMessage(BaseMessage[Literal["system"], TextContent]):
    """Instructions, to models that do not reason."""


class DeveloperMessage(BaseMessage[Literal["developer"], TextContent]):
    """Instructions, to models that reason."""


class UserMessage(BaseMessage[Literal["user"], Content[UserPart]]):
    """What the user says."""


class AudioReference(Input):
    """An audio answer that the assistant gave earlier."""

    id: str


class AssistantMessage(BaseMessage[Literal["assistant"], Content[AssistantPart]]):
    """What the assistant answered earlier. Clients echo whole answers, with every null member (docs/contract.md, Requests)."""

    refusal: str | None = None
    audio: AudioReference | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True)] | None = None
    function_call: FunctionCall | None = None


class ToolMessage(BaseMessage[Literal["tool"], TextContent]):
    """The result of a tool call."""

    tool_call_id: str


class FunctionMessage(BaseMessage[Literal["function"], TextContent]):
    """The result of a function call; deprecated."""


Message = Annotated[
    # In the order in which OpenAI's errors list the roles (docs/contract.md, Validation).
    SystemMessage | AssistantMessage | UserMessage | FunctionMessage | ToolMessage | DeveloperMessage,
    Field(discriminator="role"),
]
