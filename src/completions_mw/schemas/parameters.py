"""Objects that single parameters of a chat completions request hold (docs/contract.md, Requests)."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from completions_mw.schemas.base import Input, StrictInput, shape
from completions_mw.schemas.messages import Content, TextPart


class ModerationMode(Input):
    """What the moderation does with content that it flags: only score it, or block it."""

    mode: Literal["score", "block"]


class ModerationPolicy(Input):
    """What the moderation does with flagged input and with flagged output."""

    input: ModerationMode | None = None
    output: ModerationMode | None = None


class Moderation(Input):
    """Asks the provider to moderate input and output."""

    model: str
    policy: ModerationPolicy | None = None


class PromptCacheOptions(StrictInput):
    """How the provider caches the prompt."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


class TextResponse(Input):
    """Response format: free text."""

    type: Literal["text"]


class JsonResponse(Input):
    """Response format: any JSON object."""

    type: Literal["json_object"]


class JsonSchema(Input):
    """A named JSON Schema."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$")]
    description: str | None = None
    # pydantic has a method `schema`.
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class JsonSchemaResponse(Input):
    """Response format: JSON that matches a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[JsonResponse | JsonSchemaResponse | TextResponse, Field(discriminator="type")]


class StreamOptions(StrictInput):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Prediction(Input):
    """Text that is expected to make up much of the answer."""

    type: Literal["content"]
    content: Content[TextPart]


class Voice(Input):
    """The id of a custom voice."""

    id: str


class AudioOutput(Input):
    """Voice and format of an audio answer."""

    voice: Annotated[Annotated[str, Tag("string")] | Annotated[Voice, Tag("object")], Discriminator(shape)]
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]


class ApproximateLocation(Input):
    """The approximate location of the user."""

    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class UserLocation(Input):
    """The location of the user, for web searches."""

    type: Literal["approximate"]
    approximate: ApproximateLocation


class WebSearchOptions(Input):
    """How the model searches the web."""

    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None
