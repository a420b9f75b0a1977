"""The corpus of Azure OpenAI, by OpenAI's SDK."""

from typing import Any, ClassVar

from tests.providers.corpus.openai import OpenAI


class Azure(OpenAI):
    api = "azure"
    settings: ClassVar[dict[str, Any]] = {"api_key": "corpus-key", "resource": "corpus"}

    def url(self, model: str, *, stream: bool) -> str:
        return "https://corpus.openai.azure.com/openai/v1/chat/completions"

    def read_stream(self, raw: bytes) -> Any:
        # OpenAI's types do not know the events of the content filter, which are no chunks.
        blocks = [block for block in raw.split(b"\n\n") if b'"object": ""' not in block]
        return super().read_stream(b"\n\n".join(blocks))


FORMAT = Azure()
