"""The corpus of the Gemini API, by Google's SDK."""

from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar, Final

import httpx2
from google.genai import Client, types
from pydantic import TypeAdapter

from tests.providers.corpus.format import Format, sse

_TYPES: Final[dict[str, Any]] = {
    "contents": list[types.Content],
    "generationConfig": types.GenerationConfig,
    "serviceTier": types.ServiceTier,
    "systemInstruction": types.Content,
    "toolConfig": types.ToolConfig,
    "tools": list[types.Tool],
}
"""Types of the members of a request: the SDK has none for a request as a whole."""


class Gemini(Format):
    api = "gemini"
    settings: ClassVar = {"api_key": "key-corpus"}

    def url(self, model: str, *, stream: bool) -> str:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"https://generativelanguage.googleapis.com/v1beta/models/{model}:{method}"

    def streamed_request(self, body: dict[str, Any]) -> dict[str, Any]:
        return body

    def encode(self, events: Iterable[Any]) -> bytes:
        return sse(events)

    def check_request(self, body: dict[str, Any]) -> None:
        for name, value in body.items():
            adapter = TypeAdapter[Any](_TYPES[name])
            # The SDK forbids unknown members.
            assert adapter.dump_python(adapter.validate_python(value), mode="json", by_alias=True, exclude_none=True) == value

    def read(self, body: bytes) -> Any:
        return _read([_client(body).models.generate_content(model="m", contents="?")])

    def read_stream(self, raw: bytes) -> Any:
        return _read(_client(raw).models.generate_content_stream(model="m", contents="?"))


def _client(answer: bytes) -> Client:
    """Return a client whose next request gets `answer`."""
    client, answers = _replay()
    answers.append(answer)
    return client


@cache
def _replay() -> tuple[Client, list[bytes]]:
    # Once, because a client of this SDK takes longer to make than all that is read with it.
    answers: list[bytes] = []
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=answers.pop()))
    return Client(api_key="key-corpus", http_options=types.HttpOptions(httpx_client=httpx2.Client(transport=transport))), answers


def _read(answers: Iterable[types.GenerateContentResponse]) -> Any:
    """Return what the parts of answers say, texts joined."""
    texts: dict[bool, str] = {False: "", True: ""}
    others: list[Any] = []
    for answer in answers:
        for candidate in answer.candidates or ():
            for part in (candidate.content.parts if candidate.content else None) or ():
                if part.text is None:
                    others.append(part.model_dump(exclude_none=True))
                else:
                    texts[bool(part.thought)] += part.text
    return texts, others, answer.usage_metadata, answer.candidates and answer.candidates[0].finish_reason


FORMAT = Gemini()
