"""Tools that a request offers, the choice between them, and the calls that an assistant made (docs/contract.md, Requests)."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from completions_mw.schemas.base import Input, shape

FunctionName = Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$")]


class FunctionDefinition(Input):
    """A function that the model may call; `parameters` is a JSON Schema, and left out when there are none."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Input):
    """A tool whose arguments are a JSON object."""

    type: Literal["function"]
    function: FunctionDefinition


class Grammar(Input):
    """What the input of a custom tool must match."""

    definition: str
    syntax: Literal["lark", "regex"]


class TextFormat(Input):
    """Free text as the input of a custom tool."""

    type: Literal["text"]


class GrammarFormat(Input):
    """Text that a grammar constrains as the input of a custom tool."""

    type: Literal["grammar"]
    grammar: Grammar


class CustomDefinition(Input):
    """A tool that takes text."""

    name: str
    description: str | None = None
    format: Annotated[TextFormat | GrammarFormat, Field(discriminator="type")] | None = None


class CustomTool(Input):
    """A tool whose input is text."""

    type: Literal["custom"]
    custom: CustomDefinition


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class FunctionReference(Input):
    """The name of a function or of a custom tool."""

    name: str


class FunctionChoice(Input):
    """Forces a call of one function."""

    # Before `type`: the live API looks for the function first.
    function: FunctionReference
    type: Literal["function"]


class CustomChoice(Input):
    """Forces a call of one custom tool."""

    custom: FunctionReference
    type: Literal["custom"]


class AllowedTools(Input):
    """A subset of the tools, and whether one of them must be called."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[dict[str, Any]], Field(fail_fast=True)]


class AllowedToolsChoice(Input):
    """Restricts the model to some of the tools."""

    allowed_tools: AllowedTools
    type: Literal["allowed_tools"]


def _choice(value: object) -> str | None:
    kind = shape(value)
    if kind != "object":
        return kind
    named = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return str(named) if named in ("custom", "allowed_tools") else "function"


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("string")]
    | Annotated[FunctionChoice, Tag("function")]
    | Annotated[CustomChoice, Tag("custom")]
    | Annotated[AllowedToolsChoice, Tag("allowed_tools")],
    Discriminator(_choice),
]

LegacyFunctionChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag("string")] | Annotated[FunctionReference, Tag("object")],
    Discriminator(shape),
]


class FunctionCall(Input):
    """A call of a function as the assistant wrote it; `arguments` is JSON in a string, and may be malformed."""

    name: str
    arguments: str


class CustomCall(Input):
    """A call of a custom tool."""

    name: str
    input: str


class FunctionToolCall(Input):
    """One of `tool_calls`, of a function."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class CustomToolCall(Input):
    """One of `tool_calls`, of a custom tool."""

    id: str
    type: Literal["custom"]
    custom: CustomCall


ToolCall = Annotated[FunctionToolCall | CustomToolCall, Field(discriminator="type")]
