"""A model file that llama.cpp runs inside this process. Needs the extra `local`.

model.py       `BlockingLlamaCppModel` and `AsyncLlamaCppModel`: the `Model` port
request.py     from a chat request to the request of llama.cpp
answer.py      from its chunks to ours
embeddings.py  from an embeddings request to the request of llama.cpp, and from its answer to ours
server.py      the loaded weights, shared by all answers of a process
"""

from completions_mw.backends.models.llama_cpp.model import AsyncLlamaCppModel, BlockingLlamaCppModel
from completions_mw.backends.models.llama_cpp.server import default_weights

__all__ = ["AsyncLlamaCppModel", "BlockingLlamaCppModel", "default_weights"]
