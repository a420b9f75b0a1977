"""The body of a chat completions request (docs/contract.md, Requests)."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from completions_mw.schemas.base import Input, StrictInput, at_most, shape
from completions_mw.schemas.messages import Content, Message, TextPart
from completions_mw.schemas.tools import FunctionDefinition, LegacyFunctionChoice, Tool, ToolChoice

MAX_TOKENS: Final = 2**31 - 1
"""No model has as many; keeps every sum of tokens and money far inside 64 bits."""

MAX_BIASES: Final = 4096

TokenCount = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
StopSequence = Annotated[str, Field(max_length=256)]


class ModerationMode(Input):
    """What to do with one side of the conversation that the moderation flags."""

    mode: Literal["score", "block"]


class ModerationPolicy(Input):
    """What to do with flagged input and output."""

    input: ModerationMode | None = None
    output: ModerationMode | None = None


class Moderation(Input):
    """Asks for a moderation of input and output."""

    model: str
    policy: ModerationPolicy | None = None


class PromptCacheOptions(StrictInput):
    """How the provider caches the prompt."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


class TextResponse(Input):
    """Answers in free text."""

    type: Literal["text"]


class JsonResponse(Input):
    """Answers with some JSON object."""

    type: Literal["json_object"]


class JsonSchema(Input):
    """A named JSON Schema. The wire's member `schema` is the attribute `json_schema`: pydantic has the other name."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$")]
    description: str | None = None
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class JsonSchemaResponse(Input):
    """Answers with JSON that matches a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[JsonResponse | JsonSchemaResponse | TextResponse, Field(discriminator="type")]


class StreamOptions(StrictInput):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Prediction(Input):
    """Text that much of the answer will repeat."""

    type: Literal["content"]
    content: Content[TextPart]


class Voice(Input):
    """A voice of one's own."""

    id: str


class AudioOutput(Input):
    """How the answer shall sound."""

    voice: Annotated[Annotated[str, Tag("string")] | Annotated[Voice, Tag("object")], Discriminator(shape)]
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]


class Place(Input):
    """Roughly where the user is."""

    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class UserLocation(Input):
    """The place that a web search assumes."""

    type: Literal["approximate"]
    approximate: Place


class WebSearchOptions(Input):
    """How the model searches the web."""

    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None


class ChatRequest(Input):
    """A chat completions request, as validation passes it and as a Python function used as a model receives it.

    Fields stand in the order in which OpenAI's API reports faults (docs/contract.md). Null is the same as left out. What happens to
    unknown fields is a setting, applied by `core.validation`; those that are forwarded are in `model_extra`.
    """

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    functions: Annotated[list[FunctionDefinition], Field(min_length=1, max_length=128, fail_fast=True)] | None = None
    function_call: LegacyFunctionChoice | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_completion_tokens: TokenCount | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0)] | None = None
    user: str | None = None
    seed: int | None = None
    moderation: Moderation | None = None
    safety_identifier: Annotated[str, Field(max_length=64)] | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    response_format: ResponseFormat | None = None
    service_tier: Literal["auto", "default", "fast", "flex", "priority", "scale"] | None = None
    max_tokens: TokenCount | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    logit_bias: Annotated[dict[str, Annotated[int, Field(ge=-100, le=100)]], at_most(MAX_BIASES)] | None = None
    stop: (
        Annotated[
            Annotated[StopSequence, Tag("string")]
            | Annotated[list[StopSequence], Tag("array"), Field(min_length=1, max_length=4, fail_fast=True)],
            Discriminator(shape),
        ]
        | None
    ) = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
            Field(max_length=16),
            at_most(16),
        ]
        | None
    ) = None
    prediction: Prediction | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    modalities: Annotated[list[Literal["text", "audio"]], Field(fail_fast=True)] | None = None
    audio: AudioOutput | None = None
    web_search_options: WebSearchOptions | None = None
    top_k: TokenCount | None = None
    """Not OpenAI's: Anthropic, Gemini, vLLM and Ollama have it (docs/contract.md, Differences from OpenAI)."""

    @property
    def caller(self) -> Any:
        """Who asks: a `Caller`, or None for the host app itself. Known to models in this process alone; no part of the wire form.

        A model that asks another one on the caller's account hands it on: `gateway.complete(..., caller=request.caller)`.
        """
        return (self.__pydantic_private__ or {}).get("caller")

    def asked_by(self, caller: Any) -> None:
        """Let `caller` be who asks."""
        # Without a private attribute of pydantic's, which would cost every request as much as all of its checks of a field.
        object.__setattr__(self, "__pydantic_private__", {"caller": caller})
