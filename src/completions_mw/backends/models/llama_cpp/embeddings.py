"""From an embeddings request to llama.cpp's request, and from llama.cpp's answer to OpenAI's."""

import re
from collections.abc import Mapping
from typing import Any, Final

from completions_mw.backends.models.llama_cpp.server import LlamaServer
from completions_mw.backends.models.thread_source import Emit, Produce
from completions_mw.errors import GatewayError, InvalidRequestError, UpstreamError
from completions_mw.schemas import EmbeddingRequest

_TOO_LONG: Final = re.compile(r"input \((\d+) tokens\) is too large to process.*batch size: (\d+)")


def embedding(server: LlamaServer, request: EmbeddingRequest) -> Produce:
    """Return the work that answers `request`, in a thread."""
    body = {"input": request.input, "encoding_format": request.encoding_format or "float"}

    def produce(emit: Emit) -> None:
        with server.use() as native:
            try:
                answer = native.handle_embeddings(body)
            except (ValueError, RuntimeError) as error:
                raise UpstreamError("The model could not answer.") from error
        if "error" in answer:
            raise _error(answer["error"])
        # Without the other members: one of them names a path of this machine.
        emit({"data": [{"embedding": item["embedding"]} for item in answer["data"]], "usage": answer["usage"]})

    return produce


def _error(error: Mapping[str, Any]) -> GatewayError:
    """Return the error of the gateway for one that llama.cpp reports."""
    message = str(error.get("message"))
    if found := _TOO_LONG.search(message):
        tokens, limit = found.groups()
        text = f"This model's maximum context length is {limit} tokens, however you requested {tokens} tokens. Please reduce your input."
        return InvalidRequestError(text, param="input", code="context_length_exceeded")
    return InvalidRequestError(message) if error.get("code") == 400 else UpstreamError("The model could not answer.")
