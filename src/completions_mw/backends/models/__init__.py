"""Models inside this process, behind the `Model` port. The pipeline sees no difference between them and an upstream."""

from completions_mw.backends.models.echo import echo
from completions_mw.backends.models.function import AsyncFunctionModel, BlockingFunctionModel
from completions_mw.backends.models.llama_cpp import AsyncLlamaCppModel, BlockingLlamaCppModel, default_weights

__all__ = [
    "AsyncFunctionModel",
    "AsyncLlamaCppModel",
    "BlockingFunctionModel",
    "BlockingLlamaCppModel",
    "default_weights",
    "echo",
]
