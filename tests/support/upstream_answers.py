"""What a well-behaved upstream says: OpenAI's objects (docs/contract.md), with an echo of the last message as the text."""

import json
import re
import struct
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

CREATED = 1_700_000_000
DONE = b"data: [DONE]\n\n"


def text_of(message: Json) -> str:
    """Return the text of a message, whichever way it is written."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def last_text(body: Json) -> str:
    """Return what `ok` answers: the text of the last message."""
    return text_of(body["messages"][-1])


def texts(body: Json) -> list[str]:
    """Return the text of each choice; they differ if there are several."""
    count = body.get("n") or 1
    return [last_text(body) if count == 1 else f"{last_text(body)} #{index}" for index in range(count)]


def usage(body: Json) -> Json:
    """Return what the answer costs: a token for each word."""
    prompt = sum(len(text_of(message).split()) for message in body["messages"])
    answer = sum(len(text.split()) for text in texts(body))
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def completion(body: Json) -> Json:
    """Return the answer as one object."""
    choices = [_choice(index, {"role": "assistant", "content": text, "refusal": None}) for index, text in enumerate(texts(body))]
    return {**_head(body, "chat.completion"), "choices": choices, "usage": usage(body)}


def chunks(body: Json) -> list[Json]:
    """Return the answer as the objects of a stream, a word each."""
    steps: list[Json] = []
    for index, text in enumerate(texts(body)):
        deltas = [{"role": "assistant", "content": "", "refusal": None}, *({"content": word} for word in re.findall(r"[^ ]+ ?| ", text))]
        steps += [_step(index, delta) for delta in deltas]
        steps.append(_step(index, {}, "stop"))
    return _chunks(body, steps)


def tool_completion(body: Json) -> Json:
    """Return a call of the request's first tool as one object."""
    call = {"id": "call_1", "type": "function", "function": {"name": _tool_name(body), "arguments": _tool_arguments(body)}}
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    return {**_head(body, "chat.completion"), "choices": [_choice(0, message, "tool_calls")], "usage": usage(body)}


def tool_chunks(body: Json) -> list[Json]:
    """Return a call of the request's first tool as the objects of a stream."""
    arguments = _tool_arguments(body)
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": _tool_name(body), "arguments": ""}}
    calls = [first, *({"index": 0, "function": {"arguments": part}} for part in (arguments[:5], arguments[5:]))]
    deltas: list[Json] = [{"role": "assistant", "content": None}, *({"tool_calls": [call]} for call in calls)]
    return _chunks(body, [*(_step(0, delta) for delta in deltas), _step(0, {}, "tool_calls")])


def embeddings(body: Json) -> Json:
    """Return a vector for each input, which says how long it is; a token for each word, or those that were sent."""
    given = body["input"]
    inputs = [given] if isinstance(given, str) or isinstance(given[0], int) else given
    vectors = [[len(one) / 8, *[0.25] * (body.get("dimensions", 3) - 1)] for one in inputs]
    if body.get("encoding_format") == "base64":
        encoded: list[Any] = [b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
    else:
        encoded = vectors
    tokens = sum(len(one.split()) if isinstance(one, str) else len(one) for one in inputs)
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(encoded)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def error(message: str, *, kind: str = "server_error", code: str | None = None) -> Json:
    """Return OpenAI's error envelope."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def event(data: Json, *, ascii_only: bool = True) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=ascii_only).encode() + b"\n\n"


def events(objects: Iterable[Json]) -> list[bytes]:
    """Return a whole stream."""
    return [*map(event, objects), DONE]


def _head(body: Json, kind: str) -> Json:
    fixed = {"service_tier": "default", "system_fingerprint": "fp_upstream"}
    return {"id": "chatcmpl-upstream", "object": kind, "created": CREATED, "model": body["model"], **fixed}


def _choice(index: int, message: Json, finish_reason: str = "stop") -> Json:
    return {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason}


def _step(index: int, delta: Json, finish_reason: str | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _chunks(body: Json, steps: list[Json]) -> list[Json]:
    head = _head(body, "chat.completion.chunk")
    if not (body.get("stream_options") or {}).get("include_usage"):
        return [{**head, "choices": [step]} for step in steps]
    return [*({**head, "choices": [step], "usage": None} for step in steps), {**head, "choices": [], "usage": usage(body)}]


def _tool_name(body: Json) -> str:
    return str(body["tools"][0]["function"]["name"])


def _tool_arguments(body: Json) -> str:
    return json.dumps({"text": last_text(body)})
