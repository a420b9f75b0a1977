"""Members beyond OpenAI's."""

from tests.upstreams.cases.wire import DONE, ROLE, SAID, STOP, TEXT, USAGE, USED, Case, Expected, chunk, event, stream

CASES = (
    # Members lost in streams.
    Case(
        "s-azure",
        "Azure, a chunk without choices",
        stream(
            {
                "id": "",
                "object": "",
                "created": 0,
                "model": "",
                "choices": [],
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}],
            },
            chunk({"role": "assistant", "content": "", "refusal": None}, content_filter_results={}, logprobs=None),
            chunk({"content": "Der Zug "}, content_filter_results={"hate": {"filtered": False, "severity": "safe"}}, logprobs=None),
            chunk({"content": "nach Ulm "}, content_filter_results={"hate": {"filtered": False, "severity": "safe"}}, logprobs=None),
            chunk({"content": "fährt ab."}, content_filter_results={"hate": {"filtered": False, "severity": "safe"}}, logprobs=None),
            chunk({}, "stop", content_filter_results={}, logprobs=None),
            USAGE,
            DONE,
        ),
        Expected(SAID, "stop", kept=("content_filter_results", "prompt_filter_results")),
        sources=("AbanteAI/archive-old-cli-mentat#429", "microsoft/semantic-kernel#3650", "openai/openai-python#1677"),
    ),
    Case(
        "s-azure-async",
        "Azure, a choice without delta at the end",
        stream(
            {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []},
            chunk({"role": "assistant"}),
            *TEXT,
            STOP,
            {
                "id": "",
                "object": "",
                "created": 0,
                "model": "",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": None,
                        "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
                        "content_filter_offsets": {"check_offset": 44, "start_offset": 44, "end_offset": 198},
                    }
                ],
                "usage": None,
            },
            USAGE,
            DONE,
        ),
        Expected(SAID, "stop", kept=("content_filter_offsets",)),
        sources=("langchain-ai/langchain#18977", "microsoft/autogen#6465", "CopilotKit/CopilotKit#2468"),
    ),
    Case(
        "x-matched_stop",
        "SGLang, vLLM: matched_stop and stop_reason beside the last text",
        stream(
            ROLE,
            chunk({"content": "Der Zug "}),
            chunk({"content": "nach Ulm "}),
            chunk({"content": "fährt ab."}, "stop", matched_stop=151645, stop_reason="ENDE"),
            USAGE,
            DONE,
        ),
        Expected(SAID, "stop", kept=("151645", "ENDE")),
    ),
    Case(
        "x-timings",
        "llama.cpp: timings beside the usage",
        stream(ROLE, *TEXT, STOP, event(usage=USED, timings={"prompt_n": 20, "predicted_per_second": 71.5}), DONE),
        Expected(SAID, "stop", kept=("predicted_per_second",)),
    ),
)
