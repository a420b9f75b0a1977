"""Messages of the six roles and the parts of their content (docs/contract.md, Requests)."""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Discriminator, Field, Tag

from completions_mw.schemas.base import Input, shape
from completions_mw.schemas.tools import FunctionCall, ToolCall


class CacheBreakpoint(Input):
    """Mark at the end of a prompt prefix that the provider is asked to cache."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class ContentPart(Input):
    """Base class of the parts of a message's content."""

    prompt_cache_breakpoint: CacheBreakpoint | None = None


class TextPart(ContentPart):
    """A content part that is text."""

    type: Literal["text"]
    text: str


class ImageUrl(Input):
    """The URL of an image: http, https or data. The gateway never fetches it."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(ContentPart):
    """A content part that is an image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(Input):
    """Audio data in base64, and its format."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(ContentPart):
    """A content part that is audio."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class FileReference(Input):
    """A file, by its id or as base64."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(ContentPart):
    """A content part that is a file."""

    type: Literal["file"]
    file: FileReference


class RefusalPart(ContentPart):
    """A content part that is a refusal of the assistant in an earlier answer."""

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
    """Base class of the messages of all roles. OpenAI's API takes a content of null from every role (docs/contract.md, Requests)."""

    role: RoleT
    content: ContentT | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """The content as plain text: the text parts joined, all other parts left out."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content if isinstance(part, TextPart))
        return str(self.content or "")


class SystemMessage(BaseMessage[Literal["system"], TextContent]):
    """Instructions to the model. Reasoning models take them as developer messages."""


class DeveloperMessage(BaseMessage[Literal["developer"], TextContent]):
    """Instructions to a reasoning model."""


class UserMessage(BaseMessage[Literal["user"], Content[UserPart]]):
    """A message of the user."""


class AudioReference(Input):
    """The id of an audio answer that the assistant gave earlier."""

    id: str


class AssistantMessage(BaseMessage[Literal["assistant"], Content[AssistantPart]]):
    """An earlier answer of the assistant. Members that are null are taken as left out."""

    refusal: str | None = None
    audio: AudioReference | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True)] | None = None
    function_call: FunctionCall | None = None


class ToolMessage(BaseMessage[Literal["tool"], TextContent]):
    """The result of a tool call."""

    tool_call_id: str


class FunctionMessage(BaseMessage[Literal["function"], TextContent]):
    """The result of a function call. Deprecated: tools replace functions."""


Message = Annotated[
    # In the order in which OpenAI's errors list the roles (docs/contract.md, Validation).
    SystemMessage | AssistantMessage | UserMessage | FunctionMessage | ToolMessage | DeveloperMessage,
    Field(discriminator="role"),
]
