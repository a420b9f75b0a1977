"""The table `[embeddings]`."""

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.types import Count


class EmbeddingSettings(SettingsModel):
    """Bounds of embeddings requests, and of the answers to them. The defaults are those of OpenAI's API."""

    max_inputs: Count = 2048
    """Inputs that a request may have at most."""
    max_tokens: Count = 300_000
    """Tokens that the inputs of a request may have together; those of texts are estimated, at four bytes each."""
    max_response_bytes: Count = 134_217_728
    """Bytes that an upstream's answer may have at most; `max_response_bytes` is for chat completions."""
