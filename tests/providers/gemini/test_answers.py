"""What the Gemini API answers, beyond the corpus, whole and streamed."""

from typing import Any

import pytest
from pydantic_core import to_json

from completions_mw import Settings
from completions_mw.errors import GatewayError
from completions_mw.providers import gemini
from completions_mw.sse import DONE, Event
from tests.faults.conftest import KEY, BlockingClient
from tests.providers.corpus.format import sse
from tests.support.canned import CannedTransport, Reply, whole


def answer(*candidates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), "responseId": "r", **more}


def candidate(*parts: dict[str, Any], reason: str | None = "STOP", **more: Any) -> dict[str, Any]:
    ended = {} if reason is None else {"finishReason": reason}
    return {"content": {"role": "model", "parts": list(parts)}, **ended, **more}


def choices_of(*candidates: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    choices: list[dict[str, Any]] = gemini.parse_completion(to_json(answer(*candidates, **more))).data["choices"]
    return choices


def streamed(*events: Any) -> list[Event]:
    translator = gemini.open_stream(10_000)
    told = translator.feed(sse(events))
    if translator.fault is None:
        told += translator.end()
    if translator.fault is not None:
        raise translator.fault
    return told


def test_several_candidates() -> None:
    both = [candidate({"text": "a"}, index=0), candidate({"text": "b"}, index=1)]
    assert [(choice["index"], choice["message"]["content"]) for choice in choices_of(*both)] == [(0, "a"), (1, "b")]
    *told, done = streamed(answer(both[1]), answer(both[0]))
    assert done is DONE
    assert [[(one["index"], one["delta"]) for one in event.data["choices"]] for event in told] == [
        [(1, {"content": "b"})],
        [(0, {"content": "a"})],
    ]


def test_a_prompt_that_is_blocked() -> None:
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}
    [choice] = choices_of(**blocked)
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "content_filter")
    [event, done] = streamed({"responseId": "r", **blocked})
    assert event.data["choices"] == [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]
    assert event.data["usage"]["prompt_tokens"] == 4
    assert done is DONE


def test_images_of_the_model() -> None:
    [choice] = choices_of(candidate({"text": "Here: "}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"executableCode": {}}))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert choice["message"]["content"] == "Here: "
    assert choice["message"]["content_parts"] == [image, {"executableCode": {}}]


def test_what_the_api_says_of_its_sources() -> None:
    sources: dict[str, Any] = {"groundingMetadata": {"webSearchQueries": ["a"]}, "citationMetadata": {"citations": [{"uri": "b"}]}}
    [choice] = choices_of(candidate({"text": "a"}, **sources))
    assert sources.items() <= choice.items()


BROKEN: list[Any] = [
    {},
    {"candidates": []},
    {"candidates": 7},
    {"candidates": [7]},
    answer(candidate({"functionCall": {"args": {}}})),
    answer(candidate({"text": 7})),
    answer(candidate(7)),  # type: ignore[arg-type]
    answer(candidate({"text": "a"}), usageMetadata={"promptTokenCount": "7"}),
    answer(candidate({"text": "a"}, logprobsResult={"chosenCandidates": [{}]})),
    [],
    7,
    "text",
]


@pytest.mark.parametrize("body", BROKEN)
def test_a_malformed_answer_is_a_failure(body: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        gemini.parse_completion(to_json(body))
    assert caught.value.code == "upstream_protocol_error"


@pytest.mark.parametrize("body", BROKEN[2:])
def test_a_malformed_event_is_a_failure(body: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        streamed(body)
    assert caught.value.code == "upstream_protocol_error"


SETTINGS = Settings(
    providers={"up": {"api": "gemini", "api_key": "key"}},
    models={"m": {"targets": ["up/gemini-3.5-flash"]}},
    keys={"client": {"secret": KEY}},
    # Retries would wait.
    retries={"attempts": 1},
)


@pytest.mark.parametrize("stream", [False, True])
def test_fewer_candidates_than_were_asked_for_are_an_answer(stream: bool) -> None:
    transport = CannedTransport(lambda _: replying(answer(candidate({"text": "Hello"})), stream))
    client = BlockingClient(SETTINGS, transport=transport)
    got = client.post("m", stream=stream, n=2)
    client.close()
    assert got.status == 200
    if stream:
        assert got.body.endswith(b"data: [DONE]\n\n")
    else:
        assert len(got.json["choices"]) == 1


def test_a_candidate_that_has_begun_is_waited_for() -> None:
    begun = candidate({"text": "Hel"}, reason=None, index=1)
    assert DONE not in streamed(answer(candidate({"text": "Hello"}, index=0), begun))


def replying(body: dict[str, Any], stream: bool) -> Reply:
    return Reply([sse([body])], "text/event-stream") if stream else whole(body)


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "MALFORMED_RESPONSE", None])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_not_complete_is_no_success(word: str | None, stream: bool) -> None:
    transport = CannedTransport(lambda _: replying(answer(candidate({"text": "Hel"}, reason=word)), stream))
    client = BlockingClient(SETTINGS, transport=transport)
    got = client.post("m", stream=stream)
    assert b"[DONE]" not in got.body
    assert got.error["code"] == "upstream_incomplete"
    client.close()


def test_calls_without_an_id_get_one() -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    body = answer(candidate(call, call))
    client = BlockingClient(SETTINGS, transport=CannedTransport(lambda _: replying(body, stream=False)))
    calls = client.post("m").json["choices"][0]["message"]["tool_calls"]
    assert [one["function"] for one in calls] == [{"name": "f", "arguments": '{"a":1}'}] * 2
    assert len({one["id"] for one in calls}) == 2
    client.close()
