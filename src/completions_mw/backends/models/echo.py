"""A model that repeats the client's text, word by word: for tests, first steps and load tests. Its answers are not random.

- The answer is the text of the last message if that is a tool's result, else the text of the last user message.
- A forced function (`tool_choice`, `function_call`) is called: its arguments are the text if that is a JSON object, else `{"input": text}`.
- `response_format` is obeyed: `json_object` gives the text if that is a JSON object, else `{"echo": text}`; `json_schema` gives a small
  instance of the schema.
- A token is a word with the space after it. `stop`, `max_tokens`, `n` and `logprobs` are obeyed; sampling parameters are ignored.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json, to_json

from completions_mw.backends.models.chunks import wire_form
from completions_mw.backends.models.example import example
from completions_mw.backends.models.forced_calls import ForcedCall, forced_call
from completions_mw.core.costs.tokens import usage_object
from completions_mw.core.streaming.pieces import Chunk, chunk, usage_chunk
from completions_mw.schemas import ChatRequest

_TOKEN = re.compile(r"\s*\S+\s*|\s+")


def echo(request: ChatRequest) -> Iterator[Chunk]:
    """Answer `request`: a model for `BlockingFunctionModel` and `AsyncFunctionModel`."""
    body = wire_form(request)
    last = request.messages[-1]
    is_result = last.role in ("tool", "function")
    asked = (message.text for message in reversed(request.messages) if message.role == "user")
    text = last.text if is_result else next(asked, last.text)
    call = None if is_result else forced_call(body)
    spoken = 0
    for index in range(body.get("n") or 1):
        for part, tokens in _call(call, text, index) if call else _say(body, text, index):
            spoken += tokens
            yield part
    yield usage_chunk(usage_object(sum(len(tokens_of(message.text)) for message in request.messages), spoken))


def tokens_of(text: str) -> list[str]:
    """Return the tokens of `text` as the echo model counts them: joined, they are `text`."""
    return _TOKEN.findall(text)


def _say(body: dict[str, Any], text: str, index: int) -> Iterator[tuple[Chunk, int]]:
    content, stop = _formatted(body.get("response_format") or {}, text), body.get("stop")
    found = [content.find(sequence) for sequence in ([stop] if isinstance(stop, str) else stop or []) if sequence]
    content = content[: min((position for position in found if position >= 0), default=None)]
    tokens = tokens_of(content)
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or len(tokens)
    yield chunk({"role": "assistant", "content": ""}, index=index), 0
    for token in tokens[:limit]:
        part = chunk({"content": token}, index=index)
        if body.get("logprobs"):
            part["choices"][0]["logprobs"] = _logprobs(token, body.get("top_logprobs") or 0)
        yield part, 1
    yield chunk({}, index=index, finish_reason="length" if len(tokens) > limit else "stop"), 0


def _call(call: ForcedCall, text: str, index: int) -> Iterator[tuple[Chunk, int]]:
    arguments = text if _is_object(text) else _json({"input": text})
    yield chunk(call.opening(call.functions[0]["name"]), index=index), 0
    for token in tokens_of(arguments):
        yield chunk(call.fragment(token), index=index), 1
    yield chunk({}, index=index, finish_reason=call.finish_reason), 0


def _formatted(response_format: dict[str, Any], text: str) -> str:
    if response_format.get("type") == "json_schema":
        return _json(example(response_format["json_schema"].get("schema") or {"type": "object"}, text))
    if response_format.get("type") == "json_object":
        return text if _is_object(text) else _json({"echo": text})
    return text


def _logprobs(token: str, top: int) -> dict[str, Any]:
    certain: dict[str, Any] = {"token": token, "logprob": 0.0, "bytes": list(token.encode("utf-8", "replace"))}
    return {"content": [{**certain, "top_logprobs": [certain] if top else []}], "refusal": None}


def _is_object(text: str) -> bool:
    try:
        return isinstance(from_json(text), dict)
    except ValueError:
        return False


def _json(value: Any) -> str:
    return to_json(value).decode()
