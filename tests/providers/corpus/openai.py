"""The corpus of OpenAI's chat completions API, by its SDK."""

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParams

from tests.providers.corpus.format import Format, sse
from tests.providers.corpus.typed import check_typed


class OpenAI(Format):
    api = "openai"
    settings: ClassVar[dict[str, Any]] = {"api_key": "sk-corpus"}

    def url(self, model: str, *, stream: bool) -> str:
        return "https://api.openai.com/v1/chat/completions"

    def streamed_request(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "stream": True, "stream_options": {"include_usage": True}}

    def encode(self, events: Iterable[Any]) -> bytes:
        return sse([*events, "[DONE]"])

    def check_request(self, body: dict[str, Any]) -> None:
        check_typed(CompletionCreateParams, body)

    def read(self, body: bytes) -> Any:
        return ChatCompletion.model_validate_json(body).choices[0].message.content

    def read_stream(self, raw: bytes) -> Any:
        state = ChatCompletionStreamState()
        for block in raw.decode().split("\n\n")[:-2]:
            state.handle_chunk(ChatCompletionChunk.model_validate(json.loads(block.removeprefix("data: "))))
        return state.current_completion_snapshot.choices[0].message.content


FORMAT = OpenAI()
