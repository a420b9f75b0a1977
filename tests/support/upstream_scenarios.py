"""How an upstream can behave, by the name of the model that is asked for.

A number at the end of a name is the scenario's argument: `stall-5` stalls after five events, `status-429` answers 429.
Where a stream is written in pieces, a plain answer is too: its JSON, in two halves.
"""

import asyncio
import gzip
import json
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

from tests.support import upstream_answers as answers
from tests.support.upstream_answers import DONE, Json, event, events
from tests.support.upstream_exchange import RequestContext

Scenario = Callable[[RequestContext], Coroutine[Any, Any, None]]

KIB = 1024
MIB = 1024 * KIB


async def ok(x: RequestContext) -> None:
    await _answer(x, answers.completion(x.body), answers.chunks(x.body))


async def embed(x: RequestContext) -> None:
    await x.reply_json(answers.embeddings(x.body))


async def tools(x: RequestContext) -> None:
    """Call the first tool; with its result, answer."""
    if x.body["messages"][-1]["role"] == "tool":
        await ok(x)
    else:
        await _answer(x, answers.tool_completion(x.body), answers.tool_chunks(x.body))


async def ttfb(x: RequestContext) -> None:
    await x.released()
    await ok(x)


async def stall(x: RequestContext) -> None:
    pieces, count = _pieces(x), x.number(3)
    await x.start()
    await x.pieces(pieces[:count] if x.stream else pieces[:1])
    await x.released()
    await x.pieces(pieces[count:] if x.stream else pieces[1:])
    await x.end()


async def trunc(x: RequestContext) -> None:
    await _begin(x)
    await x.end()


async def cut(x: RequestContext) -> None:
    await _begin(x)
    x.cut()


async def rst(x: RequestContext) -> None:
    await _begin(x)
    x.reset()


async def nodone(x: RequestContext) -> None:
    await _send(x, [piece for piece in _pieces(x) if piece != DONE])


async def hang(x: RequestContext) -> None:
    await x.start()
    await x.pieces(_pieces(x))
    await x.released()
    await x.end()


async def drip(x: RequestContext) -> None:
    """Ten bytes a second of an event that never ends: the pace is the fault."""
    await x.start()
    await x.piece(b'data: {"id": "')
    while True:
        await x.piece(b"x")
        await asyncio.sleep(0.1)


async def hugeline(x: RequestContext) -> None:
    """One line of 300 MiB."""
    await x.start()
    await x.piece(b'data: {"id": "')
    for _ in range(x.number(300) * 16):
        await x.piece(b"x" * 64 * KIB)
    await x.piece(b'"}\n\n')
    await x.end()


async def endless(x: RequestContext) -> None:
    """A chunk of one word, again and again, each in its own piece."""
    word = event(answers.chunks(x.body)[1])
    await x.start()
    while True:
        await x.piece(word)


async def tiny_flood(x: RequestContext) -> None:
    """Two million events of two bytes."""
    await x.start()
    for _ in range(x.number(2_000_000) // 1000):
        await x.piece(b"data:{}\n\n" * 1000)
    await x.piece(DONE)
    await x.end()


async def hugebody(x: RequestContext) -> None:
    """Over 16 MiB, each event of the stream well within its bound."""
    if not x.stream:
        answer = answers.completion(x.body)
        answer["choices"][0]["message"]["content"] = "x" * 17 * MIB
        return await x.reply_json(answer)
    chunk = answers.chunks(x.body)[1]
    chunk["choices"][0]["delta"]["content"] = "x" * 100 * KIB
    await _send(x, [*[event(chunk)] * 174, DONE])


async def firsterror(x: RequestContext) -> None:
    await _fail_after(x, 0, event(OVERLOADED))


async def gzipped(x: RequestContext) -> None:
    await x.start(("content-encoding", "gzip"))
    await x.piece(gzip.compress(b"".join(_pieces(x))))
    await x.end()


async def bomb(x: RequestContext) -> None:
    await x.start(("content-encoding", "gzip"))
    await x.piece(_bomb())
    await x.end()


async def html(x: RequestContext) -> None:
    await x.reply(b"<!doctype html><title>Sign in</title>", content_type="text/html")


async def empty200(x: RequestContext) -> None:
    await x.reply(b"")


async def nocontent(x: RequestContext) -> None:
    await x.head(204)


async def redirect(x: RequestContext) -> None:
    await x.head(307, ("location", "http://169.254.169.254/latest/meta-data/"), ("content-length", "0"))


async def flood1xx(x: RequestContext) -> None:
    for _ in range(x.number(100_000) // 100):
        await x.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
    await ok(x)


async def bigheader(x: RequestContext) -> None:
    await x.reply_json(answers.completion(x.body), ("x-padding", "x" * 300 * KIB))


async def status(x: RequestContext) -> None:
    """Answer the status in the name; 401 tells the key, as careless upstreams do."""
    number = x.number(500)
    key = (x.request.header("authorization") or "").removeprefix("Bearer ")
    message = f"Incorrect API key provided: {key}." if number == 401 else f"The upstream says {number}."
    await x.reply_json(answers.error(message, kind="invalid_request_error" if number < 500 else "server_error"), status=number)


async def flaky(x: RequestContext) -> None:
    """Fail as often as the name says, then answer."""
    if x.attempt < x.number(1):
        await x.reply_json(OVERLOADED, status=503)
    else:
        await ok(x)


OVERLOADED = answers.error("The engine is currently overloaded, please try again later", code="overloaded")
VLLM_ERROR = {"object": "error", "message": "The engine died.", "type": "InternalServerError", "param": None, "code": 500}

FAILURES: dict[str, bytes] = {
    "errorevent": event(OVERLOADED),
    "namederror": b"event: error\n" + event({"message": "The engine died.", "type": "server_error"}),
    "vllmerror": event(VLLM_ERROR) + DONE,
    "stringerror": event({"error": "boom"}),
    "badjson": b'data: {"id": "chatcmpl-upstream", "choices": [{"index": 0, "delta\n\n',
    "badutf8": b'data: {"id": "chatcmpl-upstream", "choices": [{"index": 0, "delta": {"content": "\xff\xfe"}}]}\n\n',
    "nonobject": b"data: [1, 2]\n\n",
}
"""What comes after three good events, or as the whole of a plain answer."""

FRAMINGS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "bom": lambda stream: [b"\xef\xbb\xbf", *stream],
    "crlf": lambda stream: [piece.replace(b"\n", b"\r\n") for piece in stream],
    "cr": lambda stream: [piece.replace(b"\n", b"\r") for piece in stream],
    "nospace": lambda stream: [piece.replace(b"data: ", b"data:", 1) for piece in stream],
    "multiline": lambda stream: [*map(_over_several_lines, stream[:-1]), DONE],
    "comments": lambda stream: [b"retry: 5\n\n", *(b": x\nid: 1\nevent: message\n" + piece + b":\n\nid: 2\n\n" for piece in stream)],
    "bytewise": lambda stream: [bytes([byte]) for byte in b"".join(stream)],
    "packed": lambda stream: [b"".join(stream[start : start + 2]) for start in range(0, len(stream), 2)],
}
"""Other ways to write the same stream (docs/promises.md, Streams and truncation)."""

BAD_USAGE: dict[str, object] = {
    "negative": {"prompt_tokens": -5, "completion_tokens": -5, "total_tokens": -10},
    "string": {"prompt_tokens": "many", "completion_tokens": "more", "total_tokens": "most"},
    "huge": {"prompt_tokens": 10**18, "completion_tokens": 10**18, "total_tokens": 2 * 10**18},
    "nan": {"prompt_tokens": float("nan"), "completion_tokens": float("inf"), "total_tokens": float("nan")},
    "fraction": {"prompt_tokens": 1.5, "completion_tokens": True, "total_tokens": 2.5},
    "partial": {"total_tokens": 7},
    "null": None,
    "list": [1, 2, 3],
}


def _failure(what: bytes) -> Scenario:
    return lambda x: _fail_after(x, 3, what)


def _framing(change: Callable[[list[bytes]], list[bytes]]) -> Scenario:
    async def framed(x: RequestContext) -> None:
        await _send(x, change(_pieces(x)) if x.stream else _pieces(x))

    return framed


def _bad_usage(value: object) -> Scenario:
    async def wrong(x: RequestContext) -> None:
        chunks = [{**chunk, "usage": value} if chunk.get("usage") else chunk for chunk in answers.chunks(x.body)]
        await _answer(x, {**answers.completion(x.body), "usage": value}, chunks)

    return wrong


async def nousage(x: RequestContext) -> None:
    answer = answers.completion(x.body)
    del answer["usage"]
    await _answer(x, answer, [_without_usage(chunk) for chunk in answers.chunks(x.body) if chunk["choices"]])


async def usage_every_chunk(x: RequestContext) -> None:
    """Count up in each chunk, asked or not."""
    chunks = answers.chunks({**x.body, "stream_options": None})
    total = answers.usage(x.body)
    counted = [{**chunk, "usage": {**total, "completion_tokens": count}} for count, chunk in enumerate(chunks)]
    await _answer(x, answers.completion(x.body), [*counted[:-1], {**chunks[-1], "usage": total}])


async def u2028(x: RequestContext) -> None:
    """Nothing escaped that JSON lets stand; the line separators of Unicode come with it."""
    body = {**x.body, "messages": [*x.body["messages"], {"content": answers.last_text(x.body) + "\u2028\u2029\u0085é"}]}
    if x.stream:
        await _send(x, [*(event(chunk, ascii_only=False) for chunk in answers.chunks(body)), DONE])
    else:
        await x.reply(json.dumps(answers.completion(body), ensure_ascii=False).encode())


async def quirks_llama(x: RequestContext) -> None:
    """llama.cpp: the first delta's content is null, `timings` beside the choices."""
    chunks = answers.chunks(x.body)
    chunks[0]["choices"][0]["delta"] = {"role": "assistant", "content": None}
    await _answer(x, {**answers.completion(x.body), "timings": TIMINGS}, [*chunks[:-1], {**chunks[-1], "timings": TIMINGS}])


TIMINGS = {"prompt_n": 1, "prompt_ms": 5.047, "predicted_n": 2, "predicted_ms": 27.1}


async def quirks_ollama(x: RequestContext) -> None:
    """Ollama: role and content in every chunk, and no finish_reason at all before `[DONE]`."""
    chunks = answers.chunks(x.body)
    for choice in _choices(chunks):
        choice["delta"] = {"role": "assistant", "content": choice["delta"].get("content", "")}
        choice["finish_reason"] = None
    await _answer(x, answers.completion(x.body), chunks)


async def quirks_finish_with_content(x: RequestContext) -> None:
    """The last word and its finish_reason in one chunk."""
    chunks = answers.chunks(x.body)
    last = next(index for index, choice in enumerate(_choices(chunks)) if choice["finish_reason"])
    chunks[last - 1]["choices"][0]["finish_reason"] = chunks.pop(last)["choices"][0]["finish_reason"]
    await _answer(x, answers.completion(x.body), chunks)


def _choices(chunks: list[Json]) -> list[Json]:
    return [choice for chunk in chunks for choice in chunk["choices"]]


def _without_usage(chunk: Json) -> Json:
    return {key: value for key, value in chunk.items() if key != "usage"}


def _over_several_lines(piece: bytes) -> bytes:
    lines = json.dumps(json.loads(piece.removeprefix(b"data: ")), indent=1).encode().split(b"\n")
    return b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"


def _pieces(x: RequestContext) -> list[bytes]:
    if x.stream:
        return events(answers.chunks(x.body))
    body = json.dumps(answers.completion(x.body)).encode()
    return [body[: len(body) // 2], body[len(body) // 2 :]]


async def _answer(x: RequestContext, answer: Json, chunks: list[Json]) -> None:
    if x.stream:
        await _send(x, events(chunks))
    else:
        await x.reply_json(answer)


async def _send(x: RequestContext, pieces: list[bytes]) -> None:
    await x.start()
    await x.pieces(pieces)
    await x.end()


async def _begin(x: RequestContext) -> None:
    await x.start()
    await x.pieces(_pieces(x)[: x.number(3) if x.stream else 1])


async def _fail_after(x: RequestContext, count: int, failure: bytes) -> None:
    if x.stream:
        await _send(x, [*_pieces(x)[:count], failure])
    else:
        await x.reply(failure.removeprefix(b"event: error\n").removeprefix(b"data: ").partition(b"\n\n")[0])


@cache
def _bomb() -> bytes:
    """64 MiB of nothing, in 64 KiB."""
    return gzip.compress(bytes(64 * MIB), compresslevel=9)


SCENARIOS: dict[str, Scenario] = {
    "ok": ok,
    "n": ok,
    "embed": embed,
    "tools": tools,
    "slow": ttfb,
    "ttfb": ttfb,
    "stall": stall,
    "trunc": trunc,
    "cut": cut,
    "rst": rst,
    "nodone": nodone,
    "hang": hang,
    "drip": drip,
    "hugeline": hugeline,
    "endless": endless,
    "tiny-flood": tiny_flood,
    "hugebody": hugebody,
    "firsterror": firsterror,
    "gzip": gzipped,
    "bomb": bomb,
    "html": html,
    "empty200": empty200,
    "nocontent": nocontent,
    "redirect": redirect,
    "flood1xx": flood1xx,
    "bigheader": bigheader,
    "status": status,
    "flaky": flaky,
    "u2028": u2028,
    "nousage": nousage,
    "usage-every-chunk": usage_every_chunk,
    "quirks-llama": quirks_llama,
    "quirks-ollama": quirks_ollama,
    "quirks-finish-with-content": quirks_finish_with_content,
    **{name: _failure(what) for name, what in FAILURES.items()},
    **{name: _framing(change) for name, change in FRAMINGS.items()},
    **{f"badusage-{name}": _bad_usage(value) for name, value in BAD_USAGE.items()},
}
