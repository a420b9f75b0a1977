"""The body of a chat completions request (docs/contract.md, Requests)."""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from completions_mw.schemas.base import ModelRequest, at_most, shape
from completions_mw.schemas.messages import Message
from completions_mw.schemas.parameters import (
    AudioOutput,
    Moderation,
    Prediction,
    PromptCacheOptions,
    ResponseFormat,
    StreamOptions,
    WebSearchOptions,
)
from completions_mw.schemas.tools import FunctionCallChoice, FunctionDefinition, Tool, ToolChoice

MAX_TOKENS: Final = 2**31 - 1
"""Tokens that a request may ask for at most: more than any model gives, and few enough that every sum of tokens or money fits 64 bits."""
MAX_LOGIT_BIASES: Final = 4096
"""Tokens in a `logit_bias`."""

TokenCount = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
StopSequence = Annotated[str, Field(max_length=256)]


def _whole(value: object) -> object:
    """Return a float without a fraction as an integer: OpenAI's API takes 1.0 for 1 here."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class ChatRequest(ModelRequest):
    """A chat completions request, as https://platform.openai.com/docs/api-reference/chat/create describes it.

    A parameter that is null is taken as left out. A Python function that is used as a model receives its requests as objects of this
    class; parameters that the API does not have, and that the setting `unknown_params` forwards, are in `model_extra`.
    """

    # Fields stand in the order in which OpenAI's API reports faults (docs/contract.md, Validation).

    model_config = ConfigDict(
        json_schema_extra={
            "additionalProperties": False,
            # For readers of the OpenAPI document, who call the API and write no Python functions.
            "description": "A request as https://platform.openai.com/docs/api-reference/chat/create describes it. "
            "A parameter that is null is taken as left out.",
        }
    )

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    functions: Annotated[list[FunctionDefinition], Field(min_length=1, max_length=128, fail_fast=True)] | None = None
    function_call: FunctionCallChoice | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128, fail_fast=True)] | None = None
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
    logit_bias: Annotated[dict[str, Annotated[int, Field(ge=-100, le=100), BeforeValidator(_whole)]], at_most(MAX_LOGIT_BIASES)] | None = (
        None
    )
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
    top_k: Annotated[int, Field(ge=-1, le=MAX_TOKENS)] | None = None
    """A parameter of Anthropic, Gemini, vLLM and Ollama, which OpenAI's API does not have (docs/contract.md, Differences from OpenAI).
    0 and -1 stand for no limit."""
