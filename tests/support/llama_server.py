"""llama.cpp's HTTP server with a real, small model: somebody else's code, which speaks OpenAI's API and Anthropic's."""

from typing import Any

from completions_mw.backends.models import default_weights
from tests.support.process import free_port

MODEL = "smollm2"


def llama_server(api_key: str, *, context: int = 512, chat_template: str = "", embeddings: bool = False) -> Any:
    """Start a server, which serves from threads of its own for as long as somebody has it.

    Args:
        api_key: key that its clients need.
        context: tokens of a prompt and its answer together.
        chat_template: template in place of the model's own.
        embeddings: whether it makes embeddings too.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(default_weights())
    params.model_alias = {MODEL}
    params.n_ctx = context
    params.n_parallel = 1
    # One thread is faster than two on a busy machine.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    if embeddings:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.hostnames = ["127.0.0.1"]
    params.port = free_port()
    params.api_keys = [api_key]
    params.verbosity = -1
    if chat_template:
        params.chat_template = chat_template
    return xllamacpp.Server(params)
