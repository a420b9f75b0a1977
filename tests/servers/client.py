"""A client of the endpoint on a bare socket, which sees every event of a stream by itself."""

import contextlib
import json
from typing import Any, NamedTuple

from tests.servers.apps import KEY
from tests.support.grammar import is_keep_alive
from tests.support.rawhttp import Answer, RawClient, request

PATH = "/api/v1/chat/completions"
AUTHORIZATION = ("authorization", f"Bearer {KEY}")
PROBE = request("/probe", b"", ("connection", "close"), method="GET")


def body(model: str = "ok", text: str = "hello", **fields: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **fields}).encode()


def chat(model: str = "ok", text: str = "hello", **fields: Any) -> bytes:
    """Return a whole valid request."""
    return request(PATH, body(model, text, **fields), AUTHORIZATION)


def page(client: RawClient, path: str) -> str:
    """Return what the host app says."""
    return client.exchange(request(path, method="GET")).body.decode()


def get(port: int, path: str) -> str:
    """Return what the host app says, on a connection of its own."""
    with RawClient(port) as client:
        return page(client, path)


class Block(NamedTuple):
    """A block of a stream: an event or a keep-alive."""

    text: str
    at: float
    """When it had arrived, on the monotonic clock."""

    @property
    def is_keep_alive(self) -> bool:
        return is_keep_alive(self.text.encode())


class StreamClient(RawClient):
    """A client that asks for a stream and reads it block by block."""

    _rest = b""
    _at = 0.0

    def ask(self, model: str, text: str = "hello", **fields: Any) -> None:
        self.send(chat(model, text, stream=True, **fields))

    def start(self) -> None:
        """Read the head."""
        head = self.read_head()
        assert (head.status, head.header("transfer-encoding")) == (200, "chunked"), head

    def next_block(self) -> Block | None:
        """Return the next event or keep-alive; None at the end of the body."""
        while b"\n\n" not in self._rest:
            data, self._at = self.read_chunk()
            if not data:
                assert not self._rest
                return None
            self._rest += data
        block, _, self._rest = self._rest.partition(b"\n\n")
        return Block(block.decode(), self._at)

    def next_event(self) -> Block | None:
        """Return the next event; keep-alives are passed over."""
        block = self.next_block()
        while block is not None and block.is_keep_alive:
            block = self.next_block()
        return block

    def next_keep_alive(self) -> None:
        """Read on to the next keep-alive."""
        block = self.next_block()
        while block is not None and not block.is_keep_alive:
            block = self.next_block()
        assert block is not None

    def rest_of_events(self) -> list[str]:
        """Return all events that are still to come."""
        events = []
        while (event := self.next_event()) is not None:
            events.append(event.text.removeprefix("data: "))
        return events


def text_of(events: list[str]) -> str:
    """Return the text of a whole stream, which must have ended as the API says."""
    *chunks, done = events
    assert done == "[DONE]"
    return "".join(choice["delta"].get("content") or "" for chunk in map(json.loads, chunks) for choice in chunk["choices"])


def content_of(answer: Answer) -> str:
    """Return the text of a whole answer."""
    assert answer.status == 200, answer
    content = json.loads(answer.body)["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


def final_answer(client: RawClient) -> Answer:
    """Return the next answer that is no interim one."""
    answer = client.read_answer()
    while answer.status < 200:
        answer = client.read_answer()
    return answer


def converse(port: int, data: bytes, *, more: bool = True) -> list[Answer]:
    """Send `data` and, behind it, an ordinary request for a page; return every answer until the connection ends.

    Args:
        port: of the server.
        data: as it is.
        more: whether the client still sends after `data`; if not, it says so with FIN.
    """
    answers: list[Answer] = []
    with RawClient(port) as client, contextlib.suppress(ConnectionError):
        with contextlib.suppress(ConnectionError):
            client.send(data)
            client.send(PROBE) if more else client.half_close()
        while not client.at_end():
            answers.append(final_answer(client))
    return answers
