"""The grammar of a streamed answer, checked to the byte (docs/contract.md, Streams)."""

import json
from typing import Any, NamedTuple

from tests.support.envelope import check_error

KEEP_ALIVE = b": keep-alive"
EMPTY_CHOICE = {"index": 0, "delta": {}, "finish_reason": None}
DONE = b"data: [DONE]"


class Streamed(NamedTuple):
    """A stream that was well-formed."""

    chunks: list[dict[str, Any]]
    texts: dict[int, str]
    """By the index of the choice."""
    finish_reasons: dict[int, str]
    usage: dict[str, Any] | None


def is_keep_alive(block: bytes) -> bool:
    """Tell whether a block, with or without its end, only keeps the connection open: a comment, or a chunk that adds nothing."""
    block = block.removesuffix(b"\n\n")
    if block == KEEP_ALIVE or b"\n" in block or not block.startswith(b"data: {"):
        return block == KEEP_ALIVE
    return _json(block).get("choices") == [EMPTY_CHOICE]


def check_stream(raw: bytes, *, include_usage: bool = False) -> Streamed:
    """Check a complete stream and return what it says."""
    *blocks, last = _blocks(raw)
    assert last == DONE
    chunks = [_json(block) for block in blocks if block != KEEP_ALIVE]
    assert DONE not in blocks
    _check_envelopes(chunks)
    usage = _take_usage(chunks, include_usage)
    texts: dict[int, str] = {}
    finish_reasons: dict[int, str] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        _follow(choice, texts, finish_reasons)
    assert texts.keys() == finish_reasons.keys()
    return Streamed(chunks, texts, finish_reasons, usage)


def check_failed_stream(raw: bytes) -> dict[str, Any]:
    """Check a stream that failed midway: the error is its last event, and no `[DONE]` makes it look like a success."""
    blocks = _blocks(raw)
    assert DONE not in blocks
    body = _json(blocks[-1])
    check_error(body)
    error: dict[str, Any] = body["error"]
    return error


def _blocks(raw: bytes) -> list[bytes]:
    assert raw.isascii()
    assert b"\r" not in raw
    assert raw.endswith(b"\n\n")
    blocks = raw[:-2].split(b"\n\n")
    for block in blocks:
        assert block == KEEP_ALIVE or (block.startswith(b"data: ") and b"\n" not in block), block
    return blocks


def _json(block: bytes) -> dict[str, Any]:
    value = json.loads(block.removeprefix(b"data: "))
    assert isinstance(value, dict)
    return value


def _check_envelopes(chunks: list[dict[str, Any]]) -> None:
    assert len({(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert chunks[0]["object"] == "chat.completion.chunk"
    assert chunks[0]["id"].startswith("chatcmpl-")
    assert type(chunks[0]["created"]) is int


def _take_usage(chunks: list[dict[str, Any]], include_usage: bool) -> dict[str, Any] | None:
    """Remove and return the usage: in a chunk of its own where it was asked for, nowhere else."""
    if not include_usage:
        assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)
        return None
    last = chunks.pop()
    assert last["choices"] == []
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in chunks)
    usage: dict[str, Any] = last["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return usage


def _follow(choice: dict[str, Any], texts: dict[int, str], finish_reasons: dict[int, str]) -> None:
    index, delta, reason = choice["index"], choice["delta"], choice["finish_reason"]
    if choice == EMPTY_CHOICE | {"index": index} and index in texts:
        return
    assert index not in finish_reasons, "nothing but signs of life follows the end of a choice"
    if index in texts:
        assert "role" not in delta
    else:
        assert delta["role"] == "assistant"
    texts[index] = texts.get(index, "") + (delta.get("content") or "")
    if reason is not None:
        assert delta == {}
        finish_reasons[index] = reason
