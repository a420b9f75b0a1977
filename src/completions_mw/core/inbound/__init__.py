"""Inbound dialects: the forms of requests, answers, streams and errors that clients use. One dialect a file.

dialect.py           `Dialect`: the protocol of a dialect
openai_dialect.py    what OpenAI's endpoints have in common
chat_completions.py  `ChatCompletions`: OpenAI's chat completions
embeddings.py        `Embeddings`: OpenAI's embeddings

Inside the core every request is a `Chat` or an `Embed`, and every answer a chat completion, its chunks, or a list of embeddings.
"""

from completions_mw.core.inbound.chat_completions import ChatCompletions
from completions_mw.core.inbound.dialect import Dialect
from completions_mw.core.inbound.embeddings import Embeddings

__all__ = ["ChatCompletions", "Dialect", "Embeddings"]
