"""OpenAI's embeddings: the body of a request, and the answer (docs/embeddings.md).

Source: OpenAI's API reference, https://platform.openai.com/docs/api-reference/embeddings.
"""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from completions_mw.schemas.base import ModelRequest, Output, WholeAnswer

EncodingFormat = Literal["float", "base64"]
"""Form of a vector in an answer: an array of numbers, or the base64 of its 32-bit floats in little-endian order."""
MAX_DIMENSIONS: Final = 2**31 - 1
Token = Annotated[int, Field(ge=0)]
Tokens = Annotated[list[Token], Field(min_length=1, fail_fast=True)]
NotEmptyText = Annotated[str, Field(min_length=1)]


def _input_form(value: object) -> str | None:
    """Return the form of `input`, the discriminator of its type; None for a value that has no form of `input`."""
    if isinstance(value, str):
        return "text"
    if not isinstance(value, list):
        return None
    first = value[0] if value else ""
    return "tokens" if isinstance(first, int) else "token_lists" if isinstance(first, list) else "texts"


class EmbeddingRequest(ModelRequest):
    """An embeddings request, as https://platform.openai.com/docs/api-reference/embeddings/create describes it.

    A parameter that is null is taken as left out. A Python function that is used as an embeddings model receives its requests as objects of
    this class; parameters that the API does not have, and that the setting `unknown_params` forwards, are in `model_extra`.
    """

    # Fields stand in the order of OpenAI's API reference, which is the order in which faults are reported (docs/contract.md, Validation).

    model_config = ConfigDict(
        json_schema_extra={
            "additionalProperties": False,
            # For readers of the OpenAPI document, who call the API and write no Python functions.
            "description": "A request as https://platform.openai.com/docs/api-reference/embeddings/create describes it. "
            "A parameter that is null is taken as left out.",
        }
    )

    model: Annotated[str, Field(min_length=1)]
    input: Annotated[
        Annotated[NotEmptyText, Tag("text")]
        | Annotated[list[NotEmptyText], Tag("texts"), Field(min_length=1, fail_fast=True)]
        | Annotated[Tokens, Tag("tokens")]
        | Annotated[list[Tokens], Tag("token_lists"), Field(min_length=1, fail_fast=True)],
        Discriminator(_input_form),
    ]
    """A text, texts, the tokens of a text, or the tokens of several texts."""
    dimensions: Annotated[int, Field(ge=1, le=MAX_DIMENSIONS)] | None = None
    encoding_format: EncodingFormat | None = None
    user: str | None = None

    @property
    def inputs(self) -> list[str] | list[list[int]]:
        """The inputs as a list, in which a single text or its tokens are one item: the answer has a vector for each item."""
        return inputs_of(self.input)


def inputs_of(value: str | list[str] | list[int] | list[list[int]]) -> list[str] | list[list[int]]:
    """Return a valid `input` as a list with an item for each vector of the answer."""
    is_one = isinstance(value, str) or isinstance(value[0], int)
    return [value] if is_one else value  # type: ignore[return-value]


class Embedding(Output):
    """The vector of one input."""

    object: str = "embedding"
    index: int
    """Position of the input in the request."""
    embedding: list[float] | str
    """The vector: numbers, or with `encoding_format="base64"` the base64 of its 32-bit floats in little-endian order."""


class EmbeddingUsage(Output):
    """Tokens that an embeddings request used."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(WholeAnswer):
    """The answer to an embeddings request: a vector for each input, in the order of the inputs."""

    object: str = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
