"""Inbound dialects: the forms of requests, answers, streams and errors that clients use. One dialect a file.

    dialect.py           `Dialect`: the protocol of a dialect
    chat_completions.py  `ChatCompletions`: OpenAI's chat completions

Inside the core every request is a `Chat`, and every answer a chat completion or its chunks.
"""

from completions_mw.core.inbound.chat_completions import ChatCompletions
from completions_mw.core.inbound.dialect import Dialect

__all__ = ["ChatCompletions", "Dialect"]
