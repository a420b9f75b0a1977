"""Inbound dialects: how the clients of a route spell requests, answers, streams and errors. One dialect a file.

    dialect.py           `Dialect`: what the pipeline needs of one
    chat_completions.py  OpenAI's chat completions

Inside the core every request is a `Chat` and every answer a chat completion or its chunks; a dialect translates at the border.
"""

from completions_mw.core.inbound.chat_completions import ChatCompletions
from completions_mw.core.inbound.dialect import Dialect

__all__ = ["ChatCompletions", "Dialect"]
