"""Tools that a request offers, the choice between them, and the calls in earlier answers (docs/contract.md, Requests)."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from completions_mw.schemas.base import Input, shape

FunctionName = Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$")]


class FunctionDefinition(Input):
    """A function that the model may call. `parameters` is a JSON Schema; a function without parameters leaves it out."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Input):
    """A tool whose input is a JSON object: a function."""

    type: Literal["function"]
    function: FunctionDefinition


class ToolGrammar(Input):
    """The grammar that the input of a custom tool must match."""

    definition: str
    syntax: Literal["lark", "regex"]


class TextFormat(Input):
    """Format of a custom tool whose input is free text."""

    type: Literal["text"]


class GrammarFormat(Input):
    """Format of a custom tool whose input must match a grammar."""

    type: Literal["grammar"]
    grammar: ToolGrammar


class CustomDefinition(Input):
    """The name, purpose and input format of a custom tool."""

    name: str
    description: str | None = None
    format: Annotated[TextFormat | GrammarFormat, Field(discriminator="type")] | None = None


class CustomTool(Input):
    """A custom tool: a tool whose input is text."""

    type: Literal["custom"]
    custom: CustomDefinition


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class FunctionReference(Input):
    """The name of a function or of a custom tool."""

    name: str


class FunctionToolChoice(Input):
    """Tool choice that forces a call of one function."""

    # Declared before `type`, since OpenAI's API reports a missing function first.
    function: FunctionReference
    type: Literal["function"]


class CustomToolChoice(Input):
    """Tool choice that forces a call of one custom tool."""

    custom: FunctionReference
    type: Literal["custom"]


class AllowedTools(Input):
    """Tools that the model may call. With the mode `required` it must call one of them."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[dict[str, Any]], Field(fail_fast=True)]


class AllowedToolsChoice(Input):
    """Tool choice that restricts the model to some of the tools."""

    allowed_tools: AllowedTools
    type: Literal["allowed_tools"]


def _tool_choice_kind(value: object) -> str | None:
    kind = shape(value)
    if kind != "object":
        return kind
    named = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return str(named) if named in ("custom", "allowed_tools") else "function"


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("string")]
    | Annotated[FunctionToolChoice, Tag("function")]
    | Annotated[CustomToolChoice, Tag("custom")]
    | Annotated[AllowedToolsChoice, Tag("allowed_tools")],
    Discriminator(_tool_choice_kind),
]

FunctionCallChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag("string")] | Annotated[FunctionReference, Tag("object")],
    Discriminator(shape),
]


class FunctionCall(Input):
    """A call of a function in an earlier answer. `arguments` is a string of JSON, which the model may have malformed."""

    name: str
    arguments: str


class CustomCall(Input):
    """A call of a custom tool in an earlier answer."""

    name: str
    input: str


class FunctionToolCall(Input):
    """A member of `tool_calls` that calls a function."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class CustomToolCall(Input):
    """A member of `tool_calls` that calls a custom tool."""

    id: str
    type: Literal["custom"]
    custom: CustomCall


ToolCall = Annotated[FunctionToolCall | CustomToolCall, Field(discriminator="type")]
