"""What the OpenAPI document of a FastAPI app says of the path operations."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from completions_mw.schemas import ChatCompletion, ChatCompletionChunk, ChatRequest


class GatewayErrorObject(BaseModel):
    """An error, as in OpenAI's API."""

    message: str
    type: str
    param: str | None
    code: str | None


class GatewayErrorResponse(BaseModel):
    """The body of every response whose status is not 2xx."""

    error: GatewayErrorObject


def completion_docs() -> dict[str, Any]:
    """Return the documents of a path operation that answers with a chat completion."""
    streamed = {"text/event-stream": {"schema": self_contained(ChatCompletionChunk)}}
    completion = {"model": ChatCompletion, "description": "The completion, whole or as a stream.", "content": streamed}
    return {"responses": {200: completion}} | request_docs(ChatRequest)


def answer_docs(model: type[BaseModel]) -> dict[str, Any]:
    """Return the part of the documents of a path operation that is about its answer."""
    return {"responses": {200: {"model": model}}}


def request_docs(model: type[BaseModel]) -> dict[str, Any]:
    """Return the part of the documents of a path operation that is about its body; FastAPI itself does not parse the body."""
    content = {"application/json": {"schema": self_contained(model)}}
    return {"openapi_extra": {"requestBody": {"required": True, "content": content}}}


def self_contained(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of `model` without references: FastAPI collects the definitions only of bodies that it parses."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inline(value: Any) -> Any:
        if isinstance(value, list):
            return [inline(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if "$ref" in value:
            return inline(definitions[value["$ref"].rpartition("/")[2]])
        return {name: inline(item) for name, item in value.items() if name != "discriminator"}

    inlined: dict[str, Any] = inline(schema)
    return inlined
