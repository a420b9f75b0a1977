"""A dialect of another envelope and framing is added without touching the pipeline."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw import Request
from completions_mw.blocking import iterate, run_sync
from completions_mw.core.inbound import Dialect
from completions_mw.core.ports import StoredAnswer
from completions_mw.core.streaming.replay import events_of
from completions_mw.core.validation import Chat, validate
from completions_mw.errors import GatewayError, InvalidRequestError
from completions_mw.http import Headers, Response
from completions_mw.providers.base import Completion
from completions_mw.sse import DONE, Event
from tests.support.charging import Charging

KEY = "sk-of-a-client-of-the-toy"


class ToyDialect:
    """Requests are `{"to", "say", "slowly"}`; a stream is lines of `+text`, `=end` or `!code`; errors are `{"oops": ...}`."""

    path: Final = "/toy"
    headers: Final[Headers] = (("content-type", "application/x-toy"),)
    stream_headers: Final[Headers] = (("content-type", "application/x-toy-lines"),)

    def parse(self, body: bytes) -> Chat:
        try:
            said = from_json(body)
        except ValueError:
            raise InvalidRequestError("This is no toy.") from None
        messages = [{"role": "user", "content": said["say"]}]
        return validate({"model": said["to"], "messages": messages, "stream": said.get("slowly", False)})

    def render(self, completion: Completion) -> bytes:
        return to_json({"heard": completion.data["choices"][0]["message"]["content"]})

    def replay(self, answer: StoredAnswer, *, stream: bool, include_usage: bool) -> bytes:
        return self.frame(events_of(answer, include_usage=False)) if stream else self.render(Completion(from_json(answer.body)))

    def frame(self, events: list[Event]) -> bytes:
        return b"".join(b"=end\n" if event is DONE else _line(event.data) for event in events)

    def frame_keep_alive(self, chunk: Event) -> bytes:
        return b"~\n"

    def frame_error(self, error: GatewayError) -> bytes:
        return f"!{error.code}\n".encode()

    def error_response(self, error: GatewayError) -> Response[Any]:
        return Response(error.status, self.headers, to_json({"oops": error.message}))


def _line(chunk: dict[str, Any]) -> bytes:
    return "".join(f"+{choice['delta']['content']}\n" for choice in chunk["choices"] if choice["delta"].get("content")).encode()


def words(_: object) -> Iterator[str]:
    yield "one "
    yield "two"


def fails_later(_: object) -> Iterator[str]:
    yield "one "
    raise GatewayError("Not today.", code="tired")


def ask(body: bytes, model: Any = words) -> Response[Any]:
    dialect: Dialect = ToyDialect()
    charging = Charging(model, dialects=[dialect], keys={"client": {"secret": KEY}})
    headers = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"))
    return run_sync(charging.pipeline.handle(Request("POST", "/api/v1/toy", headers, body)))


def stream_of(response: Response[Any]) -> bytes:
    assert not isinstance(response.body, bytes)
    return b"".join(iterate(response.body))


def test_a_whole_answer() -> None:
    response = ask(b'{"to": "m", "say": "hi"}')
    assert (response.status, response.headers[0], response.body) == (200, ("content-type", "application/x-toy"), b'{"heard":"one two"}')


def test_a_streamed_answer() -> None:
    response = ask(b'{"to": "m", "say": "hi", "slowly": true}')
    assert response.headers[0] == ("content-type", "application/x-toy-lines")
    assert stream_of(response) == b"+one \n+two\n=end\n"


def test_a_stream_that_fails() -> None:
    response = ask(b'{"to": "m", "say": "hi", "slowly": true}', fails_later)
    assert stream_of(response) == b"+one \n!tired\n"


def test_refusals_have_its_envelope() -> None:
    assert ask(b"nonsense").body == b'{"oops":"This is no toy."}'
    unknown = ask(b'{"to": "nobody", "say": "hi"}')
    assert (unknown.status, unknown.headers[0]) == (404, ("content-type", "application/x-toy"))
    assert b"The model `nobody` does not exist" in unknown.body


def test_other_routes_keep_theirs() -> None:
    charging = Charging(words, dialects=[ToyDialect()])
    response = run_sync(charging.pipeline.handle(Request("POST", "/api/v1/chat/completions", ())))
    assert isinstance(response.body, bytes)
    assert from_json(response.body)["error"]["type"] == "invalid_request_error"
