"""The grammar of a streamed answer, checked to the byte (docs/contract.md, Streams)."""

import json
from typing import Any, NamedTuple

from tests.support.envelope import check_error

KEEP_ALIVE = b": keep-alive"
EMPTY_CHOICE = {"index": 0, "delta": {}, "finish_reason": None}
DONE = b"data: [DONE]"
FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}


class Streamed(NamedTuple):
    """A stream that was well-formed."""

    chunks: list[dict[str, Any]]
    texts: dict[int, str]
    """By the index of the choice."""
    finish_reasons: dict[int, str]
    usage: dict[str, Any] | None
    calls: dict[int, list[dict[str, str]]]
    """Id, name and arguments of the tool calls, by the index of the choice."""


def is_keep_alive(block: bytes) -> bool:
    """Return whether a block, with or without its end, only keeps the connection open: a comment, or a chunk that adds nothing."""
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
    calls: dict[int, list[dict[str, str]]] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        _follow(choice, texts, finish_reasons)
        for piece in choice["delta"].get("tool_calls") or ():
            _add_piece(calls.setdefault(choice["index"], []), piece)
    assert texts.keys() == finish_reasons.keys()
    for made in calls.values():
        assert len({call["id"] for call in made}) == len(made)
    return Streamed(chunks, texts, finish_reasons, usage, calls)


def check_completion(raw: bytes) -> dict[str, Any]:
    """Check a whole answer, member by member, and return it."""
    completion = json.loads(raw, parse_constant=_no_number)
    assert isinstance(completion, dict)
    assert completion["object"] == "chat.completion"
    assert isinstance(completion["id"], str)
    assert completion["id"]
    assert type(completion["created"]) is int
    assert isinstance(completion["model"], str)
    assert completion["model"]
    _check_usage(completion["usage"])
    for index, choice in enumerate(completion["choices"]):
        assert choice["index"] == index
        assert choice["finish_reason"] in FINISH_REASONS
        message = choice["message"]
        assert message["role"] == "assistant"
        assert isinstance(message["content"], str | None)
        _check_whole_calls(message.get("tool_calls"))
    return completion


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
    value = json.loads(block.removeprefix(b"data: "), parse_constant=_no_number)
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
        assert all("usage" not in chunk and _says_something(chunk) for chunk in chunks)
        return None
    last = chunks.pop()
    assert last["choices"] == []
    assert all(chunk["usage"] is None and _says_something(chunk) for chunk in chunks)
    usage: dict[str, Any] = last["usage"]
    _check_usage(usage)
    return usage


def _says_something(chunk: dict[str, Any]) -> bool:
    """Return whether a chunk has choices, or more than the members of every chunk."""
    return bool(chunk["choices"]) or chunk.keys() > {"id", "object", "created", "model", "choices", "usage"}


def _check_usage(usage: dict[str, Any]) -> None:
    counts = [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    assert [type(count) for count in counts] == [int, int, int]
    assert counts[2] == counts[0] + counts[1]


def _check_whole_calls(calls: list[dict[str, Any]] | None) -> None:
    if calls is None:
        return
    assert calls
    assert len({call["id"] for call in calls}) == len(calls)
    for call in calls:
        assert isinstance(call["id"], str)
        assert call["id"]
        assert call["type"] == "function"
        assert call["function"]["name"]
        assert isinstance(call["function"]["arguments"], str)


def _add_piece(calls: list[dict[str, str]], piece: dict[str, Any]) -> None:
    """Add a piece of a tool call: the first has the identity of the call, the others only arguments."""
    index, function = piece["index"], piece["function"]
    assert isinstance(function["arguments"], str)
    if index < len(calls):
        assert piece.keys() & {"id", "type"} == set()
        assert "name" not in function
        calls[index]["arguments"] += function["arguments"]
        return
    assert index == len(calls), "calls are numbered from 0 in the order of their appearance"
    assert isinstance(piece["id"], str)
    assert piece["id"]
    assert piece["type"] == "function"
    assert function["name"]
    calls.append({"id": piece["id"], "name": function["name"], "arguments": function["arguments"]})


def _no_number(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def _follow(choice: dict[str, Any], texts: dict[int, str], finish_reasons: dict[int, str]) -> None:
    index, delta, reason = choice["index"], choice["delta"], choice["finish_reason"]
    if choice == EMPTY_CHOICE | {"index": index} and index in texts:
        return
    assert index not in finish_reasons, "nothing but keep-alives follows the end of a choice"
    if index in texts:
        assert "role" not in delta
    else:
        assert delta["role"] == "assistant"
    texts[index] = texts.get(index, "") + (delta.get("content") or "")
    assert isinstance(delta.get("content"), str | None)
    if reason is not None:
        assert delta == {}
        assert reason in FINISH_REASONS
        finish_reasons[index] = reason
