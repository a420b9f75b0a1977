"""A wire format that is unlike OpenAI's in everything: binary frames of a content type of their own, deltas that mean nothing without an
earlier frame, and none to many events for a frame.

A frame is the length of its payload (4 bytes, big-endian), a letter, and the payload, which is JSON:

    H  {"answer": "...", "words": ["one", "two"]}   begins an answer
    W  [0, 1, 0]                                    says words of the header, each of which becomes a chunk
    P  null                                         keeps the connection alive
    E  {"used": [3, 5]}                             ends an answer, which is complete once its bytes end too
    F  {"text": "...", "number": 7}                 reports an error
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw.errors import GatewayError, InvalidRequestError, UpstreamError
from completions_mw.http import Headers, UpstreamRequest
from completions_mw.providers.base import Completion, Translator
from completions_mw.providers.custom import CustomFormat
from completions_mw.providers.endpoint import Endpoint, endpoint_of
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.providers import CustomSettings
from completions_mw.sse import DONE, Event

_HEAD: Final = 5


def frame(kind: bytes, payload: object) -> bytes:
    body = to_json(payload)
    return len(body).to_bytes(4, "big") + kind + body


class ToyFormat(CustomFormat):
    stream_content_type = "application/vnd.toy.frames"
    capabilities = Capabilities(max_tokens="most")

    def build_endpoint(self, settings: CustomSettings) -> Endpoint:
        assert settings.api_key is not None
        return endpoint_of(settings, settings.base_url, {"x-password": settings.api_key.get_secret_value()})

    def build_request(
        self,
        endpoint: Endpoint,
        capabilities: Capabilities,
        model: str,
        fields: Mapping[str, Any],
        max_tokens: int | None = None,
    ) -> UpstreamRequest:
        said = [[message["role"], message["content"]] for message in fields["messages"]]
        live = fields.get("stream", False)
        body = to_json(
            {"model": model, "said": said, "live": live, **({} if max_tokens is None else {capabilities.max_tokens: max_tokens})}
        )
        url = f"{endpoint.url}/{'live' if live else 'whole'}"
        return UpstreamRequest(url, endpoint.headers, body, timeouts=endpoint.timeouts)

    def parse_completion(self, body: bytes) -> Completion:
        try:
            data = from_json(body)
            choice = {"index": 0, "message": {"role": "assistant", "content": data["said"]}, "finish_reason": "stop"}
            return Completion({"id": data["answer"], "choices": [choice], "usage": usage(*data["used"])})
        except (ValueError, LookupError, TypeError):
            raise _unusable() from None

    def parse_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        try:
            report = from_json(body)
            text, number = report["text"], str(report["number"])
        except (ValueError, LookupError, TypeError):
            text, number = "no reason", None
        error = (
            InvalidRequestError(text, code=number) if status == 400 else UpstreamError(f"The upstream provider failed (status {status}).")
        )
        error.upstream_code = number
        return error

    def open_stream(self, max_event_bytes: int) -> Translator:
        return _Frames(max_event_bytes)


class _Frames(Translator):
    def __init__(self, max_event_bytes: int) -> None:
        super().__init__()
        self._max_event_bytes = max_event_bytes
        self._buffer = b""
        self._header: dict[str, Any] | None = None
        self._ended = False

    def _translate(self, piece: bytes, events: list[Event]) -> None:
        self._buffer += piece
        while len(self._buffer) >= _HEAD:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > self._max_event_bytes:
                raise UpstreamError("The frame is too large.", code="upstream_too_large")
            if len(self._buffer) < _HEAD + size:
                return
            kind, payload = self._buffer[4:_HEAD], self._buffer[_HEAD : _HEAD + size]
            self._buffer = self._buffer[_HEAD + size :]
            try:
                self._take(kind, from_json(payload), events)
            except (ValueError, LookupError, TypeError):
                raise _unusable() from None

    def _take(self, kind: bytes, payload: Any, events: list[Event]) -> None:
        match kind:
            case b"H":
                self._header = payload
            case b"W":
                words = self._known()["words"]
                events.extend(self._chunk({"content": words[index]}) for index in payload)
            case b"E":
                self._ended = True
                events.append(self._chunk({}, "stop", usage(*payload["used"])))
            case b"F":
                error = UpstreamError(payload["text"], code=str(payload["number"]))
                error.upstream_code = error.code
                raise error
            case b"P":
                pass
            case _:
                raise ValueError(kind)

    def _known(self) -> dict[str, Any]:
        if self._header is None:
            raise ValueError("no header")
        return self._header

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None, used: dict[str, int] | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return Event({"id": self._known()["answer"], "choices": [choice], **({} if used is None else {"usage": used})})

    def _finish(self, events: list[Event]) -> None:
        if not self._ended:
            raise UpstreamError("The frames broke off.", code="frames_missing")
        events.append(DONE)


def usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _unusable() -> UpstreamError:
    return UpstreamError("The upstream provider sent no frames.", code="upstream_protocol_error")
