"""Answers that real servers give, as every kind of client reads them through the gateway."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from httpx2 import ASGITransport, WSGITransport
from openai import APIError, APIStatusError, AsyncOpenAI, DefaultAsyncHttpx2Client, DefaultHttpx2Client, OpenAI

from completions_mw import AsyncGateway, Gateway, GatewayError, Settings
from completions_mw.adapters import asgi, wsgi
from completions_mw.http import Request
from tests.support.envelope import check_error
from tests.support.grammar import check_completion, check_failed_stream, check_stream
from tests.support.whole_answer import whole_answer
from tests.upstreams.cases import CASES
from tests.upstreams.cases.wire import UPSTREAM_KEY, Case, Form
from tests.upstreams.reading import Answered, Charged, Reading, Refused, answered, compare, refused
from tests.upstreams.replay import Replay, replay

KEY = "sk-client-0123456789"
CLIENT: dict[str, Any] = {"base_url": "http://gateway/api/v1", "api_key": KEY, "max_retries": 0, "_strict_response_validation": True}
"""Strict: an answer that is not what the SDK's types say is an error."""
ASKED = [{"role": "user", "content": "Wann geht der Zug nach Ulm?"}]
RENAMED = "renamed-"
"""What the name of a model begins with whose upstream knows it by another name."""


def settings(upstream: Replay) -> Settings:
    names = {case.name for case in CASES}
    return Settings.from_mapping(
        {
            "providers": {"up": {"api": "openai", "base_url": upstream.url, "api_key": UPSTREAM_KEY}},
            "models": {f"{prefix}{name}": {"targets": [f"up/{name}"]} for name in names for prefix in ("", RENAMED)},
            "keys": {"client": {"secret": KEY}},
            "stores": {"ledger": "memory://"},
            # The upstream gives the same answer again, and some answers ask for seconds of patience.
            "retries": {"attempts": 1},
        }
    )


class Blocking:
    """A blocking gateway, and clients of it."""

    def __init__(self, settings: Settings) -> None:
        self.gateway = Gateway(settings)
        http = DefaultHttpx2Client(transport=WSGITransport(app=wsgi.CompletionsMiddleware(None, self.gateway)))
        self.client = OpenAI(http_client=http, **CLIENT)

    def raw(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        response = self.gateway.handle(request)
        if isinstance(response.body, bytes):
            return response.status, dict(response.headers), response.body
        with response.body as body:
            return response.status, dict(response.headers), b"".join(body)

    def complete(self, fields: dict[str, Any]) -> Any:
        return self.gateway.complete(**fields, key=KEY)

    def stream(self, fields: dict[str, Any]) -> list[Any]:
        with self.gateway.stream(**fields, key=KEY) as stream:
            return list(stream)

    def sdk(self, fields: dict[str, Any]) -> Any:
        return self.client.chat.completions.create(**fields)

    def sdk_stream(self, fields: dict[str, Any]) -> tuple[list[Any], Any]:
        with self.client.chat.completions.stream(**fields) as stream:
            return list(stream), stream.current_completion_snapshot

    def charges(self, model: str, requests: int = 0) -> tuple[int, int, int, int]:
        """Return requests, prompt and completion tokens, and how many requests were estimated."""
        rows = self.gateway.usage(model=model)
        return (rows[0].requests, rows[0].prompt_tokens, rows[0].completion_tokens, rows[0].estimated) if rows else (0, 0, 0, 0)

    def close(self) -> None:
        self.client.close()
        self.gateway.close()


class OnAsyncio:
    """An async gateway, and clients of it, in blocking words."""

    def __init__(self, settings: Settings) -> None:
        self._runner = asyncio.Runner()
        self.gateway = AsyncGateway(settings)
        http = DefaultAsyncHttpx2Client(transport=ASGITransport(app=asgi.CompletionsMiddleware(None, self.gateway)))
        self.client = AsyncOpenAI(http_client=http, **CLIENT)

    def raw(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        async def read() -> tuple[int, dict[str, str], bytes]:
            return await whole_answer(await self.gateway.handle(request))

        return self._runner.run(read())

    def complete(self, fields: dict[str, Any]) -> Any:
        return self._runner.run(self.gateway.complete(**fields, key=KEY))

    def stream(self, fields: dict[str, Any]) -> list[Any]:
        async def read() -> list[Any]:
            async with self.gateway.stream(**fields, key=KEY) as stream:
                return [chunk async for chunk in stream]

        return self._runner.run(read())

    def sdk(self, fields: dict[str, Any]) -> Any:
        async def ask() -> Any:
            answer = await self.client.chat.completions.create(**fields)
            return [chunk async for chunk in answer] if fields.get("stream") else answer

        return self._runner.run(ask())

    def sdk_stream(self, fields: dict[str, Any]) -> tuple[list[Any], Any]:
        async def ask() -> tuple[list[Any], Any]:
            async with self.client.chat.completions.stream(**fields) as stream:
                return [event async for event in stream], stream.current_completion_snapshot

        return self._runner.run(ask())

    def charges(self, model: str, requests: int = 0) -> tuple[int, int, int, int]:
        """Return requests, prompt and completion tokens, and how many requests were estimated, once there are so many requests."""

        async def settled() -> tuple[int, int, int, int]:
            # The client has the end of a stream before the gateway has settled it.
            while True:
                rows = await self.gateway.usage(model=model)
                if rows and rows[0].requests >= requests:
                    return rows[0].requests, rows[0].prompt_tokens, rows[0].completion_tokens, rows[0].estimated
                if not requests:
                    return (0, 0, 0, 0)
                await asyncio.sleep(0)

        return self._runner.run(settled())

    def close(self) -> None:
        self._runner.run(self.client.close())
        self._runner.run(self.gateway.close())
        self._runner.close()


Clients = Blocking | OnAsyncio


@pytest.fixture(scope="module")
def upstream() -> Iterator[Replay]:
    with replay() as server:
        yield server


@pytest.fixture(scope="module")
def clients_of(upstream: Replay) -> Iterator[dict[type[Clients], Clients]]:
    """Clients of either kind of gateway. All cases have the same ones: each has models of its own."""
    all_cases = settings(upstream)
    made = {kind: kind(all_cases) for kind in (Blocking, OnAsyncio)}
    yield made
    for clients in made.values():
        clients.close()


def fields_of(case: Case, form: Form, name: str) -> dict[str, Any]:
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if form == "stream" else {}
    return {"model": name + case.name, "messages": ASKED, **case.request, **streamed}


def read_raw(clients: Clients, fields: dict[str, Any]) -> Reading:
    """Read the bytes of the response by the strict checkers."""
    headers = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"))
    status, sent, body = clients.raw(Request("POST", "/api/v1/chat/completions", headers, json.dumps(fields).encode()))
    assert UPSTREAM_KEY.encode() not in body
    if status != 200:
        value = json.loads(body)
        check_error(value)
        return Refused(value["error"]["message"], status, value["error"]["code"], sent, body.decode())
    if not fields.get("stream"):
        completion = check_completion(body)
        return answered(completion["choices"][0], completion["usage"], completion)
    if not body.endswith(b"data: [DONE]\n\n"):
        error = check_failed_stream(body)
        return Refused(error["message"], None, error["code"], sent, body.decode())
    streamed = check_stream(body, include_usage=True)
    assert streamed.usage is not None
    calls = tuple((call["name"], json.loads(call["arguments"])) for call in streamed.calls.get(0, ()))
    counts = (streamed.usage["prompt_tokens"], streamed.usage["completion_tokens"])
    return Answered(streamed.texts[0], streamed.finish_reasons[0], calls, counts, body.decode())


def read_direct(clients: Clients, fields: dict[str, Any]) -> Reading:
    """Read the objects of a direct call."""
    try:
        if not fields.get("stream"):
            completion = clients.complete(fields).model_dump(exclude_unset=True)
            return answered(completion["choices"][0], completion["usage"], completion)
        direct = {name: value for name, value in fields.items() if name != "stream"}
        return joined([chunk.model_dump(exclude_unset=True) for chunk in clients.stream(direct)])
    except GatewayError as error:
        return refused(error)


def read_by_sdk(clients: Clients, fields: dict[str, Any]) -> Reading:
    """Read with openai-python, which checks each object against its types."""
    if "logprobs" in fields:
        # NaN became null, which its types do not allow.
        return read_raw(clients, fields)
    try:
        answer = clients.sdk(fields)
        if fields.get("stream"):
            return joined([chunk.to_dict() for chunk in answer])
        completion = answer.to_dict()
        return answered(completion["choices"][0], completion["usage"], completion)
    except APIError as error:
        return sdk_refused(error)


def read_by_sdk_stream(clients: Clients, fields: dict[str, Any]) -> Reading:
    """Read with the helper `.stream()` of openai-python, which puts the chunks together."""
    helped = {name: value for name, value in fields.items() if name != "stream"}
    try:
        events, snapshot = clients.sdk_stream(helped)
    except APIError as error:
        return sdk_refused(error)
    completion = snapshot.to_dict()
    chunks = [event.chunk.to_dict() for event in events if event.type == "chunk"]
    return answered(completion["choices"][0], completion["usage"], chunks)


def sdk_refused(error: APIError) -> Refused:
    if isinstance(error, APIStatusError):
        return Refused(error.message, error.status_code, error.code, dict(error.response.headers), str(error.body))
    return Refused(error.message, None, error.code, None, str(error.body))


def joined(chunks: list[dict[str, Any]]) -> Answered:
    """Return the answer that chunks are pieces of, put together in the plainest way."""
    text, reason, usage = "", None, None
    calls: dict[int, dict[str, str]] = {}
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            reason = choice.get("finish_reason") or reason
            for piece in choice["delta"].get("tool_calls") or ():
                function = piece.get("function") or {}
                call = calls.setdefault(piece["index"], {"name": "", "arguments": ""})
                call["name"] += function.get("name") or ""
                call["arguments"] += function.get("arguments") or ""
    counts = (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None
    found = tuple((call["name"], json.loads(call["arguments"])) for call in calls.values())
    return Answered(text, reason, found, counts, json.dumps(chunks, ensure_ascii=False))


READERS: dict[Form, dict[str, Callable[[Clients, dict[str, Any]], Reading]]] = {
    "json": {"raw": read_raw, "direct": read_direct, "openai-python": read_by_sdk},
    "stream": {"raw": read_raw, "direct": read_direct, "openai-python": read_by_sdk, "openai-python stream()": read_by_sdk_stream},
}
EVERY = [
    pytest.param(
        kind,
        case,
        form,
        name,
        reader,
        id=f"{case.name}-{form}-{kind.__name__}-{'renamed' if name else 'same'}-{reader}",
        # By default each reader has each case from either gateway, and under either name.
        marks=[] if (kind is Blocking) == (name == "") else [pytest.mark.soak],
    )
    for kind in (Blocking, OnAsyncio)
    for name in ("", RENAMED)
    for case in CASES
    for form in case.forms
    for reader in READERS[form]
]


@pytest.mark.parametrize(("kind", "case", "form", "name", "reader"), EVERY)
def test_case(clients_of: dict[type[Clients], Clients], kind: type[Clients], case: Case, form: Form, name: str, reader: str) -> None:
    clients = clients_of[kind]
    fields = fields_of(case, form, name)
    before = clients.charges(fields["model"])
    reading = READERS[form][reader](clients, fields)
    if isinstance(reading, Refused):
        compare(case, reading, None)
        return
    after = clients.charges(fields["model"], requests=before[0] + 1)
    _, prompt, completion, estimated = (total - past for total, past in zip(after, before, strict=True))
    compare(case, reading, Charged(prompt, completion, bool(estimated)))


@pytest.mark.parametrize("form", ["json", "stream"])
@pytest.mark.parametrize("model", ["fr-abort", "m-finish-error", "m-choice-error"])
def test_what_was_used_of_an_answer_that_was_cut_is_charged(upstream: Replay, model: str, form: Form) -> None:
    # Where the stream breaks off with an error in its choice, it has not come to its usage.
    is_reported = (model, form) != ("m-choice-error", "stream")
    clients = Blocking(settings(upstream))
    [case] = [case for case in CASES if case.name == model and form in case.forms]
    assert isinstance(read_raw(clients, fields_of(case, form, "")), Refused)
    requests, prompt, completion, estimated = clients.charges(model)
    assert (requests, estimated) == (1, int(not is_reported))
    assert (prompt, completion) == (20, 6) if is_reported else min(prompt, completion) > 0
    clients.close()
