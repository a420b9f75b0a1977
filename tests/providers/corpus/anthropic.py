"""The corpus of Anthropic's Messages API, by its SDK."""

from collections.abc import Iterable
from typing import Any, ClassVar

import httpx2
from anthropic import Anthropic
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParams

from tests.providers.corpus.format import Format, sse
from tests.providers.corpus.typed import check_typed


class Messages(Format):
    api = "anthropic"
    settings: ClassVar[dict[str, Any]] = {"api_key": "sk-corpus"}

    def url(self, model: str, *, stream: bool) -> str:
        return "https://api.anthropic.com/v1/messages"

    def encode(self, events: Iterable[Any]) -> bytes:
        return sse(events, named=True)

    def check_request(self, body: dict[str, Any]) -> None:
        check_typed(MessageCreateParams, body)

    def read(self, body: bytes) -> Any:
        return _told(sdk(body, "application/json").messages.create(**ASKED))

    def read_stream(self, raw: bytes) -> Any:
        with sdk(raw, "text/event-stream").messages.stream(**ASKED) as stream:
            return _told(stream.get_final_message())


ASKED: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "?"}]}
"""Any request: the answer is a fixture."""


def sdk(body: bytes, content_type: str, status: int = 200) -> Anthropic:
    """Return a client of Anthropic's SDK that gets `body` for every request."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": content_type}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return Anthropic(api_key="sk-sdk", http_client=http, max_retries=0, _strict_response_validation=True)


def _told(message: Message) -> Any:
    return message.to_dict(exclude_none=True)


FORMAT = Messages()
