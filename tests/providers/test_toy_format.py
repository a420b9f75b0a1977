"""The seam of wire formats, by one that is unlike OpenAI's: over real HTTP, through both gateways, nothing changed outside providers."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completions_mw import Settings
from completions_mw.sse import DONE, Event
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.support.toy_format import ToyFormat, frame
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext

PASSWORD = "canary-password"
WORDS = ["one ", "two ", "thrée"]
TEXT = "one two thrée"
FRAMES = [
    frame(b"P", None),
    frame(b"H", {"answer": "toy-1", "words": WORDS}),
    frame(b"W", [0]),
    frame(b"P", None),
    frame(b"W", []),
    frame(b"W", [1, 2]),
    frame(b"E", {"used": [3, 5]}),
]
STREAM = b"".join(FRAMES)
WHOLE: dict[str, Any] = {"answer": "toy-1", "said": TEXT, "used": [3, 5]}
FORMATS = {"toy": ToyFormat()}
FAULT = {"text": f"no more, {PASSWORD}", "number": 77}


def streamed(*pieces: bytes, content_type: str = "application/vnd.toy.frames; v=1") -> Callable[[RequestContext], Any]:
    """Return a scenario that answers a stream with `pieces`, and everything else as a whole."""

    async def answer(x: RequestContext) -> None:
        if not x.body["live"]:
            await x.reply_json(WHOLE)
            return
        await x.head(200, ("content-type", content_type), ("transfer-encoding", "chunked"))
        await x.pieces(pieces)
        await x.end()

    return answer


async def refused(x: RequestContext) -> None:
    await x.reply_json(FAULT, status=400)


async def failing(x: RequestContext) -> None:
    await x.reply_json(FAULT, status=503)


async def cut_anywhere(x: RequestContext) -> None:
    """End a stream cleanly after so many bytes."""
    await streamed(STREAM[: x.number(1)])(x)


SCENARIOS = {
    "at-once": streamed(STREAM),
    "by-frame": streamed(*FRAMES),
    "by-byte": streamed(*(STREAM[at : at + 1] for at in range(len(STREAM)))),
    "fault": streamed(b"".join(FRAMES[:3]) + frame(b"F", FAULT) + FRAMES[5]),
    "fault-at-once": streamed(frame(b"F", FAULT)),
    "no-header": streamed(frame(b"W", [0])),
    "too-large": streamed(FRAMES[1], (10**6).to_bytes(4, "big") + b"W"),
    "sse": streamed(b"data: [DONE]\n\n", content_type="text/event-stream"),
    "refused": refused,
    "failing": failing,
    "cut": cut_anywhere,
}
CUTS = [f"cut-{at}" for at in range(1, len(STREAM))]


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream(SCENARIOS, path=None) as server:
        yield server


def settings_with(upstream: MockUpstream, **more: Any) -> Settings:
    names = [*SCENARIOS, *CUTS]
    return Settings.from_mapping(
        {
            "providers": {
                "toy": {"api": "custom", "base_url": upstream.url, "api_key": PASSWORD},
                "echo": {"api": "echo"},
            },
            "models": {**{name: {"targets": [f"toy/{name}"]} for name in names}, "rescued": {"targets": ["toy/failing", "echo/any"]}},
            "keys": {"client": {"secret": KEY}},
            "max_event_bytes": 1000,
            **more,
        }
    )


Client = BlockingClient | AsyncClient


@pytest.fixture(scope="module", params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def client(request: pytest.FixtureRequest, upstream: MockUpstream) -> Iterator[Client]:
    made = request.param(settings_with(upstream), providers=FORMATS)
    yield made
    made.close()


USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def test_a_whole_answer(client: Client) -> None:
    answer = client.post("at-once")
    assert (answer.status, answer.text, answer.json["usage"]) == (200, TEXT, USAGE)
    assert (answer.json["id"], answer.json["object"], answer.json["model"]) == ("toy-1", "chat.completion", "at-once")


@pytest.mark.parametrize("model", ["at-once", "by-frame", "by-byte"])
def test_a_stream(client: Client, model: str) -> None:
    answer = client.post(model, stream=True, stream_options={"include_usage": True})
    assert (answer.status, answer.text, answer.is_complete) == (200, TEXT, True)
    assert b'"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}' in answer.events[-2]
    assert all(b'"id":"toy-1"' in event for event in answer.events[:-1])


def test_requests_are_spelt_as_the_format_says(client: Client, upstream: MockUpstream) -> None:
    upstream.reset()
    client.post("at-once", stream=True)
    client.post("at-once")
    live, whole = upstream.requests
    said = [["user", "one two three"]]
    assert (live.path, live.json) == ("/v1/live", {"model": "at-once", "said": said, "live": True})
    assert (whole.path, whole.json) == ("/v1/whole", {"model": "at-once", "said": said, "live": False})
    assert live.header("x-password") == PASSWORD


@pytest.mark.parametrize(
    ("model", "stream", "status", "code"),
    [
        ("refused", False, 400, "77"),
        ("refused", True, 400, "77"),
        ("failing", True, 502, "upstream_error"),
        ("fault-at-once", True, 502, "77"),
        ("no-header", True, 502, "upstream_protocol_error"),
        ("sse", True, 502, "upstream_protocol_error"),
    ],
)
def test_a_failure_before_the_first_event(client: Client, model: str, stream: bool, status: int, code: str) -> None:
    answer = client.post(model, stream=stream)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert PASSWORD.encode() not in answer.body


def test_what_came_before_a_fault_reaches_the_client(client: Client) -> None:
    answer = client.post("fault", stream=True)
    assert (answer.status, answer.text, answer.is_complete) == (200, "one ", False)
    assert answer.error == {"message": "no more, ***", "type": "server_error", "param": None, "code": "77"}


def test_a_frame_has_a_bound(client: Client) -> None:
    assert client.post("too-large", stream=True).error["code"] == "upstream_too_large"


def test_another_target_answers_in_its_place(client: Client) -> None:
    assert [client.post("rescued", stream=stream).status for stream in (False, True)] == [200, 200]


def test_no_cut_is_a_success(client: Client) -> None:
    for model in CUTS:
        answer = client.post(model, stream=True)
        assert answer.error["code"] == "frames_missing", model
        assert b"[DONE]" not in answer.body


@pytest.mark.parametrize(("model", "status"), [("at-once", 403), ("priced", 200)])
def test_it_is_not_free(upstream: MockUpstream, model: str, status: int) -> None:
    targets = {"at-once": {"targets": ["toy/at-once"]}, "priced": {"targets": ["toy/at-once"], "prices": {"input": 10, "output": 20}}}
    key: Mapping[str, Any] = {"secret": KEY, "budget": {"usd": 1, "period": "total"}}
    client = BlockingClient(
        settings_with(upstream, models=targets, keys={"client": key}, stores={"ledger": "memory://"}), providers=FORMATS
    )
    assert client.post(model).status == status
    spent = [balance.spent for balance in client.gateway.balances("client")]
    assert bool(sum(spent)) == (status == 200)
    if status == 200:
        assert upstream.requests[-1].json["most"] == client.gateway.settings.models[model].max_output_tokens
    client.close()


def translated(*pieces: bytes) -> tuple[list[Event], str | None]:
    """Return the events of a stream that comes in `pieces`, and the code of its fault."""
    translator = ToyFormat().open_stream(1000)
    events: list[Event] = []
    for piece in pieces:
        events += translator.feed(piece)
        if translator.fault is not None:
            break
    else:
        events += translator.end()
    return events, None if translator.fault is None else translator.fault.code


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert translated(*(STREAM[start:end] for start, end in pairwise(edges))) == translated(STREAM)


@given(st.integers(0, len(STREAM) - 1), st.integers(0, len(STREAM)))
def test_any_cut_is_a_fault(length: int, split: int) -> None:
    cut = STREAM[:length]
    events, fault = translated(cut[:split], cut[split:])
    assert fault == "frames_missing"
    assert DONE not in events
