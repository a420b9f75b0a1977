"""Tool calls: their indexes, ids, types and arguments."""

from tests.upstreams.cases.wire import (
    BONN,
    CALLED,
    DONE,
    NULL_ROLE,
    ONE_CALL,
    ROLE,
    TOOLS,
    ULM,
    USAGE,
    Case,
    Expected,
    call,
    chunk,
    completion,
    message,
    stream,
    whole,
)

CASES = (
    # Indexes of tool calls.
    Case(
        "t-noindex",
        "Gemini, no index",
        stream(
            chunk(
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "call_a1",
                            "type": "function",
                            "function": {"name": "wetter", "arguments": ULM},
                            "extra_content": {"google": {"thought_signature": "c2ln"}},
                        }
                    ],
                }
            ),
            chunk({"role": "assistant"}, "stop"),
            USAGE,
            DONE,
        ),
        Expected(calls=(("wetter", {"ort": "Ulm"}),), kept=("thought_signature",)),
        request=TOOLS,
        sources=("THU-MAIC/OpenMAIC#1556", "AstrBotDevs/AstrBot#6692", "openai/openai-python#2806", "FootprintAI/Containarium#822"),
    ),
    Case(
        "t-noindex2",
        "two calls in two chunks, no index",
        stream(
            chunk(
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "call_a1", "type": "function", "function": {"name": "wetter", "arguments": ULM}}],
                }
            ),
            chunk(
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "call_b2", "type": "function", "function": {"name": "wetter", "arguments": BONN}}],
                }
            ),
            chunk({"role": "assistant"}, "stop"),
            USAGE,
            DONE,
        ),
        Expected(
            calls=(
                ("wetter", {"ort": "Ulm"}),
                ("wetter", {"ort": "Bonn", "tag": 2}),
            )
        ),
        request=TOOLS,
        sources=("NousResearch/hermes-agent#62940", "open-webui/computer#224"),
    ),
    Case(
        "t-noindex-split",
        "arguments in several chunks, no index",
        stream(
            NULL_ROLE,
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": '{"ort'}),
            call(function={"arguments": '":"Ulm"}'}),
            CALLED,
            USAGE,
            DONE,
        ),
        ONE_CALL,
        request=TOOLS,
        sources=("open-webui/computer#224",),
    ),
    Case(
        "t-index0both",
        "two calls of index 0",
        stream(
            NULL_ROLE,
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": ULM}, index=0),
            call(id="call_b2", type="function", function={"name": "wetter", "arguments": BONN}, index=0),
            CALLED,
            USAGE,
            DONE,
        ),
        Expected(
            finish_reason="tool_calls",
            calls=(
                ("wetter", {"ort": "Ulm"}),
                ("wetter", {"ort": "Bonn", "tag": 2}),
            ),
        ),
        request=TOOLS,
        sources=("su-kaka/gcli2api#406", "NousResearch/hermes-agent#62937"),
    ),
    Case(
        "t-index1",
        "indexes from 1",
        stream(
            NULL_ROLE,
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": ""}, index=1),
            call(index=1, function={"arguments": ULM}),
            CALLED,
            USAGE,
            DONE,
        ),
        ONE_CALL,
        request=TOOLS,
        sources=("router-for-me/CLIProxyAPI#5229", "aws-samples/bedrock-access-gateway#134"),
    ),
    # Ids, types and arguments of tool calls.
    Case(
        "t-noid",
        "id null",
        whole(
            completion(
                message(None, "tool_calls", tool_calls=[{"id": None, "type": "function", "function": {"name": "wetter", "arguments": ULM}}])
            )
        ),
        ONE_CALL,
        form="json",
        request=TOOLS,
        sources=("Arize-ai/phoenix#11376", "vllm-project/vllm#18412"),
    ),
    Case(
        "t-noid",
        "id null",
        stream(NULL_ROLE, call(id=None, type="function", function={"name": "wetter", "arguments": ULM}, index=0), CALLED, USAGE, DONE),
        ONE_CALL,
        request=TOOLS,
        sources=("Arize-ai/phoenix#11376", "vllm-project/vllm#18412"),
    ),
    Case(
        "t-notype",
        "Mistral, no type, all in one chunk",
        whole(completion(message(None, "tool_calls", tool_calls=[{"id": "Ab3dE5f7H", "function": {"name": "wetter", "arguments": ULM}}]))),
        ONE_CALL,
        form="json",
        request=TOOLS,
        sources=("BerriAI/litellm#2645", "agentjido/req_llm#373"),
    ),
    Case(
        "t-notype",
        "Mistral, no type, all in one chunk",
        stream(
            ROLE,
            chunk(
                {"content": "", "tool_calls": [{"id": "Ab3dE5f7H", "function": {"name": "wetter", "arguments": ULM}, "index": 0}]},
                "tool_calls",
            ),
            USAGE,
            DONE,
        ),
        ONE_CALL,
        request=TOOLS,
        sources=("BerriAI/litellm#2645", "agentjido/req_llm#373"),
    ),
    Case(
        "t-repeat",
        "Fireworks, NIM: id, type, name each time",
        stream(
            NULL_ROLE,
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": ""}, index=0),
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": '{"ort'}, index=0),
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": '":"Ulm"}'}, index=0),
            CALLED,
            USAGE,
            DONE,
        ),
        ONE_CALL,
        request=TOOLS,
        sources=("BerriAI/litellm#8990", "SillyTavern/SillyTavern#5948", "NousResearch/hermes-agent#11984", "archestra-ai/archestra#866"),
    ),
    Case(
        "t-idchange",
        "another id in later fragments",
        stream(
            NULL_ROLE,
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": ""}, index=0),
            call(index=0, id="call_zz", type="function", function={"arguments": '{"ort'}),
            call(index=0, id="call_zz", type="function", function={"arguments": '":"Ulm"}'}),
            CALLED,
            USAGE,
            DONE,
        ),
        ONE_CALL,
        request=TOOLS,
    ),
    Case(
        "t-fnnull",
        "function null at the end",
        stream(
            NULL_ROLE,
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": ULM}, index=0),
            call(index=0, id=None, function=None),
            CALLED,
            USAGE,
            DONE,
        ),
        ONE_CALL,
        request=TOOLS,
    ),
    Case(
        "t-dup-newid",
        "the whole call once more, behind the finish_reason, under another id",
        stream(
            NULL_ROLE,
            call(index=0, id="call_a1", type="function", function={"name": "wetter", "arguments": ULM}),
            CALLED,
            call(index=0, id="call_b2", type="function", function={"name": "wetter", "arguments": ULM}),
            USAGE,
            DONE,
        ),
        ONE_CALL,
        request=TOOLS,
    ),
    Case(
        "t-dupsummary",
        "the whole call once more, behind the finish_reason",
        stream(
            NULL_ROLE,
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": ""}, index=0),
            call(index=0, function={"arguments": ULM}),
            CALLED,
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": ULM}, index=0),
            USAGE,
            DONE,
        ),
        ONE_CALL,
        request=TOOLS,
        sources=("BerriAI/litellm#20480",),
    ),
    Case(
        "t-objargs",
        "arguments are an object",
        whole(
            completion(
                message(
                    None,
                    "tool_calls",
                    tool_calls=[{"id": "call_a1", "type": "function", "function": {"name": "wetter", "arguments": {"ort": "Ulm"}}}],
                )
            )
        ),
        ONE_CALL,
        form="json",
        request=TOOLS,
        sources=("ggml-org/llama.cpp#20198", "mrdushidush/claudette#238", "sipeed/picoclaw#1379"),
    ),
    Case(
        "t-objargs",
        "arguments are an object",
        stream(
            NULL_ROLE,
            call(id="call_a1", type="function", function={"name": "wetter", "arguments": {"ort": "Ulm"}}, index=0),
            CALLED,
            USAGE,
            DONE,
        ),
        ONE_CALL,
        request=TOOLS,
        sources=("ggml-org/llama.cpp#20198", "mrdushidush/claudette#238", "sipeed/picoclaw#1379"),
    ),
    Case(
        "t-noargs",
        "arguments are missing",
        whole(completion(message(None, "tool_calls", tool_calls=[{"id": "call_a1", "type": "function", "function": {"name": "zeit"}}]))),
        Expected(finish_reason="tool_calls", calls=(("zeit", {}),)),
        form="json",
        request=TOOLS,
    ),
)
