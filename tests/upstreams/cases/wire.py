"""The words that cases are written in: chunks, whole answers and responses, as bytes of an upstream."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Form = Literal["json", "stream"]
"""Form of the answer that is asked for."""
Event = dict[str, Any] | str
"""An event of a stream: a chunk, or a line that is sent as it stands."""

ENVELOPE: Final = {"id": "chatcmpl-c1", "object": "chat.completion.chunk", "created": 1790000100, "model": "real-name"}
USED: Final = {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26}
SAID: Final = "Der Zug nach Ulm fährt ab."
UPSTREAM_KEY: Final = "sk-upstream-canary-9d2e11"

WEATHER: Final = {"name": "wetter", "parameters": {"type": "object", "properties": {"ort": {"type": "string"}}}}
TIME: Final = {"name": "zeit", "parameters": {"type": "object"}}
TOOLS: Final = {"tools": [{"type": "function", "function": WEATHER}, {"type": "function", "function": TIME}]}
ULM: Final = '{"ort":"Ulm"}'
BONN: Final = '{"ort":"Bonn","tag":2}'


@dataclass(frozen=True, slots=True)
class Response:
    """A response of an upstream, head included."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    is_framed: bool = True
    """Whether it names its length; otherwise it ends with its connection."""

    def raw(self) -> bytes:
        """Return the bytes of the response."""
        lines = [f"HTTP/1.1 {self.status} X", f"content-type: {self.content_type}"]
        if self.is_framed:
            lines.append(f"content-length: {len(self.body)}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "connection: close", "", ""]).encode() + self.body


@dataclass(frozen=True, slots=True)
class Expected:
    """What a client must get.

    `text`, `finish_reason`, `calls` and `kept` are of the first choice; `usage` is what the client is told and charged.
    """

    text: str | tuple[str, ...] | None = None
    """The text; of several, any."""
    finish_reason: str | None = None
    calls: tuple[tuple[str, Any], ...] = ()
    """Name and arguments of each tool call, in order."""
    usage: tuple[int, int] | None = (20, 6)
    """Prompt and completion tokens as reported; None: an estimate that is marked as one."""
    at_least: int = 1
    """Completion tokens that an estimate has at least."""
    kept: tuple[str, ...] = ()
    """Texts that the answer has somewhere."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The error that a client must get: HTTP's, or after the first event an error event without `[DONE]`."""

    message: str = ""
    """A part of the message."""
    status: int | None = None
    code: str | None = None
    retry: Literal["capped", "never"] | int | None = None
    """Advice in headers: that many seconds at most. capped: a minute, none, or `x-should-retry: false`; never: the latter."""


@dataclass(frozen=True, slots=True)
class Case:
    """An answer that a real server was seen to give, and what must become of it."""

    name: str
    seen: str
    """Who sends it, and what is special about it."""
    response: Response
    expected: Expected | Failed
    sources: tuple[str, ...] = ()
    """Public reports: `owner/repository#issue` at GitHub, or an address."""
    form: Form | Literal["both"] = "stream"
    """Form of the answer that is asked for; both: the response is the same."""
    request: Mapping[str, Any] = field(default_factory=dict)
    refuses: str | None = None
    """Member of a request to which `response` is given; a request without it is given `otherwise`."""
    otherwise: Response | None = None
    or_error: bool = False
    """Whether an error is right too."""

    @property
    def forms(self) -> tuple[Form, ...]:
        return ("json", "stream") if self.form == "both" else (self.form,)


def choice(delta: Mapping[str, Any], finish: Any = None, **more: Any) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish, **more}


def event(*choices: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a chunk with any choices and further members."""
    return {**ENVELOPE, "choices": list(choices), **more}


def chunk(delta: Mapping[str, Any], finish: Any = None, **more: Any) -> dict[str, Any]:
    """Return a chunk with one choice; `more` are members of the choice."""
    return event(choice(delta, finish, **more))


def call(**members: Any) -> dict[str, Any]:
    """Return a chunk with a piece of a tool call."""
    return chunk({"tool_calls": [members]})


ROLE: Final = chunk({"role": "assistant", "content": ""})
NULL_ROLE: Final = chunk({"role": "assistant", "content": None})
TEXT: Final = tuple(chunk({"content": text}) for text in ("Der Zug ", "nach Ulm ", "fährt ab."))
STOP: Final = chunk({}, "stop")
CALLED: Final = chunk({}, "tool_calls")
USAGE: Final = event(usage=USED)
DONE: Final = "data: [DONE]"


def stream(*events: Event, name: str = "data: ", **more: Any) -> Response:
    """Return a streamed response; of each event that is a chunk, the JSON is compact, and `name` stands before it."""
    lines = [line if isinstance(line, str) else name + _compact(line) for line in events]
    return Response("".join(f"{line}\n\n" for line in lines).encode(), **{"content_type": "text/event-stream", "is_framed": False, **more})


def completion(*choices: Mapping[str, Any], usage: Any = USED, **more: Any) -> dict[str, Any]:
    """Return a whole answer."""
    return {**ENVELOPE, "object": "chat.completion", "choices": list(choices), "usage": usage, **more}


def message(content: Any = SAID, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """Return the choice of a whole answer; `more` are members of its message."""
    said = {"role": "assistant", "content": content, "refusal": None, **more}
    return {"index": 0, "message": said, "logprobs": None, "finish_reason": finish}


def whole(body: Any, status: int = 200, **more: Any) -> Response:
    """Return a response whose body is JSON, or text as it stands."""
    return Response((body if isinstance(body, str) else _compact(body)).encode(), status, **more)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


RIGHT: Final = Expected(SAID, "stop")
ONE_CALL: Final = Expected(finish_reason="tool_calls", calls=(("wetter", {"ort": "Ulm"}),))
GZIPPED: Final = Response(
    gzip.compress(b'{"error":{"message":"slow down"}}', mtime=0), 429, headers={"content-encoding": "gzip", "retry-after": "2"}
)
