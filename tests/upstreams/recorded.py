"""Streams in the form of OpenAI's own, one of each kind, with other texts. Each must reach the client as it is, to the byte."""

import json
from collections.abc import Iterable
from typing import Any, Final

_ENVELOPE: Final = {
    "id": "chatcmpl-CkR8mQ2",
    "object": "chat.completion.chunk",
    "created": 1790000100,
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "system_fingerprint": "fp_b7faba9ef5",
}
_DETAILS: Final = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_USAGE: Final = {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26, **_DETAILS}


def _choice(delta: dict[str, Any], finish: str | None = None, *, index: int = 0, logprobs: Any = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}


def _stream(choices: Iterable[dict[str, Any]], *tail: dict[str, Any], **more: Any) -> bytes:
    """Return a stream with one chunk for each choice, then the chunks of `tail`; without one, a chunk with the usage."""
    chunks = [{**_ENVELOPE, "choices": [choice], "usage": None, **more} for choice in choices]
    chunks += tail or ({**_ENVELOPE, "choices": [], "usage": _USAGE, **more},)
    return b"".join(b"data: %b\n\n" % json.dumps(chunk, separators=(",", ":")).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def _piece(arguments: str, position: int = 0, **first: Any) -> dict[str, Any]:
    name = {"name": first.pop("name")} if "name" in first else {}
    kind = {"type": "function"} if first else {}
    return {"tool_calls": [{"index": position, **first, **kind, "function": {**name, "arguments": arguments}}]}


def _token(text: str) -> dict[str, Any]:
    top = {"token": text, "logprob": -0.25, "bytes": list(text.encode())}
    return {"content": [{**top, "top_logprobs": [top]}], "refusal": None}


_ROLE: Final = {"role": "assistant", "content": "", "refusal": None}
_NULL_ROLE: Final = {"role": "assistant", "content": None, "refusal": None}
_TEXT: Final = [_choice(_ROLE), *(_choice({"content": text}) for text in ("Der Zug ", "nach Ulm ", "f\u00e4hrt ab.")), _choice({}, "stop")]
_USAGE_CHUNK: Final = {**_ENVELOPE, "choices": [], "usage": _USAGE}
_FLAGGED: Final = {"type": "moderation_results", "model": "omni-moderation-latest", "results": [{"flagged": False}]}
_MODERATION: Final = {**_ENVELOPE, "choices": [], "usage": None, "moderation": {"output": _FLAGGED}}

RECORDED: Final[dict[str, bytes]] = {
    "text": _stream(_TEXT),
    "padding against listeners": _stream(_TEXT, obfuscation="x8Kd"),
    "cut at the maximum": _stream([*_TEXT[:-1], _choice({}, "length")]),
    "filtered": _stream([*_TEXT[:-1], _choice({}, "content_filter")]),
    "moderation behind the usage": _stream(_TEXT, _USAGE_CHUNK, _MODERATION),
    "moderation before the usage": _stream(_TEXT, _MODERATION, _USAGE_CHUNK),
    "log probabilities": _stream(
        [_choice(_ROLE, logprobs={"content": [], "refusal": None}), _choice({"content": "Ja"}, logprobs=_token("Ja")), _choice({}, "stop")]
    ),
    "two answers": _stream(
        [
            _choice(_ROLE),
            _choice({"content": "Ja"}),
            _choice(_ROLE, index=1),
            _choice({"content": "Nein"}, index=1),
            _choice({}, "stop"),
            _choice({"content": ", nie"}, index=1),
            _choice({}, "stop", index=1),
        ]
    ),
    "a refusal": _stream(
        [_choice({**_NULL_ROLE, "refusal": ""}), _choice({"refusal": "Das "}), _choice({"refusal": "nicht."}), _choice({}, "stop")]
    ),
    "a call": _stream(
        [
            _choice({**_NULL_ROLE, **_piece("", id="call_a1", name="wetter")}),
            _choice(_piece('{"ort":')),
            _choice(_piece('"Ulm"}')),
            _choice({}, "tool_calls"),
        ]
    ),
    "parallel calls": _stream(
        [
            _choice(_NULL_ROLE),
            _choice(_piece("", id="call_a1", name="wetter")),
            _choice(_piece('{"ort":"Ulm"}')),
            _choice(_piece("", 1, id="call_b2", name="wetter")),
            _choice(_piece('{"ort":"Bonn"}', 1)),
            _choice({}, "tool_calls"),
        ]
    ),
    "a call in the older form": _stream(
        [
            _choice({"role": "assistant", "content": None, "function_call": {"name": "wetter", "arguments": ""}, "refusal": None}),
            _choice({"function_call": {"arguments": '{"ort":"Ulm"}'}}),
            _choice({}, "function_call"),
        ]
    ),
}
