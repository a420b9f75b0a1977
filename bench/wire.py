"""The bytes of the benchmark: one request, one answer, one stream, fixed and made once."""

import json
from collections.abc import Sequence
from typing import Any, Final

MODEL: Final = "gpt-4o-mini"
KEY: Final = "sk-bench-2f6c1f0a9d7b4e58a3c1"
CHUNKS: Final = 50
"""Chunks with choices in a stream; usage and `[DONE]` come on top."""
JSON_MARK: Final = b"benchmark-answer"
CHUNK_MARK: Final = b'"delta"'
DONE_MARK: Final = b"data: [DONE]"

_ANSWER: Final = "benchmark-answer: " + "The quick brown fox jumps over the lazy dog. " * 7
_ENVELOPE: Final = {"created": 1_760_000_000, "model": MODEL, "service_tier": "default", "system_fingerprint": "fp_0123456789"}
_USAGE: Final = {
    "prompt_tokens": 58,
    "completion_tokens": 71,
    "total_tokens": 129,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


def request_body(*, stream: bool, pause_us: int = 0) -> bytes:
    """Return a chat of four messages.

    Args:
        stream: whether the answer is to be streamed.
        pause_us: the mock upstream's time between two chunks; `seed` carries it, which every relay passes on and no peer acts upon.
    """
    messages = [
        {"role": "system", "content": "You are a helpful assistant. Answer in one short paragraph, without lists."},
        {"role": "user", "content": "What does the sentence about the quick brown fox show, and who uses it?"},
        {"role": "assistant", "content": "It holds every letter of the alphabet; typographers and teletype technicians use it."},
        {"role": "user", "content": "Say it seven times, please."},
    ]
    fields = {"model": MODEL, "messages": messages, "temperature": 0.7, "max_tokens": 256, "user": "user-1234", "stream": stream}
    return _json({**fields, "seed": pause_us})


def json_answer() -> bytes:
    """Return a `chat.completion` of about 750 bytes."""
    choice = {"index": 0, "message": {"role": "assistant", "content": _ANSWER, "refusal": None}, "logprobs": None, "finish_reason": "stop"}
    return _json({"id": "chatcmpl-" + "b" * 28, "object": "chat.completion", "choices": [choice], "usage": _USAGE, **_ENVELOPE})


def stream_events(*, usage: bool) -> Sequence[bytes]:
    """Return the events of a stream, as OpenAI spells them: with usage asked for, each chunk has a null one and the last the real one."""
    words: list[dict[str, Any]] = [{"content": f" word{at:04}"} for at in range(CHUNKS - 2)]
    deltas = [{"role": "assistant", "content": "", "refusal": None}, *words, {}]
    empty: dict[str, Any] = {"usage": None} if usage else {}
    chunks = [_chunk([_choice(delta, "stop" if at == CHUNKS - 1 else None)], empty) for at, delta in enumerate(deltas)]
    if usage:
        chunks.append(_chunk([], {"usage": _USAGE}))
    return [*(b"data: " + _json(chunk) + b"\n\n" for chunk in chunks), DONE_MARK + b"\n\n"]


def _chunk(choices: list[dict[str, Any]], more: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-" + "b" * 28, "object": "chat.completion.chunk", **_ENVELOPE, "choices": choices, **more}


def _choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
