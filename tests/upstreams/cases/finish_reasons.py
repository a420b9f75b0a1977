"""Why an answer ended: in other words, too early, never, or because it was cut."""

from tests.upstreams.cases.wire import (
    DONE,
    NULL_ROLE,
    ONE_CALL,
    RIGHT,
    ROLE,
    SAID,
    STOP,
    TEXT,
    TOOLS,
    ULM,
    USAGE,
    USED,
    Case,
    Expected,
    Failed,
    call,
    choice,
    chunk,
    completion,
    event,
    message,
    stream,
    whole,
)

CASES = (
    # Other words for finish_reason.
    Case(
        "t-stop",
        "Gemini, Ollama: stop behind a tool call",
        whole(
            completion(message(None, tool_calls=[{"id": "call_a1", "type": "function", "function": {"name": "wetter", "arguments": ULM}}]))
        ),
        ONE_CALL,
        form="json",
        request=TOOLS,
        sources=("googleapis/python-genai#2868",),
    ),
    Case(
        "t-stop",
        "Gemini, Ollama: stop behind a tool call",
        stream(NULL_ROLE, call(id="call_a1", type="function", function={"name": "wetter", "arguments": ULM}, index=0), STOP, USAGE, DONE),
        ONE_CALL,
        request=TOOLS,
        sources=("googleapis/python-genai#2868",),
    ),
    Case(
        "t-never",
        "Ollama, SGLang: a tool call, finish_reason null to the end",
        stream(NULL_ROLE, call(id="call_a1", type="function", function={"name": "wetter", "arguments": ULM}, index=0), USAGE, DONE),
        ONE_CALL,
        request=TOOLS,
    ),
    Case(
        "fr-eos",
        "eos_token: TGI",
        whole(completion(message(SAID, "eos_token"))),
        RIGHT,
        form="json",
        sources=("huggingface/text-generation-inference#2296",),
    ),
    Case(
        "fr-eos",
        "eos_token: TGI",
        stream(ROLE, *TEXT, chunk({}, "eos_token"), USAGE, DONE),
        RIGHT,
        sources=("huggingface/text-generation-inference#2296",),
    ),
    Case("fr-endturn", "end_turn: Anthropic's word", whole(completion(message(SAID, "end_turn"))), RIGHT, form="json"),
    Case("fr-endturn", "end_turn: Anthropic's word", stream(ROLE, *TEXT, chunk({}, "end_turn"), USAGE, DONE), RIGHT),
    Case("fr-upper", "STOP: Gemini's word", whole(completion(message(SAID, "STOP"))), RIGHT, form="json"),
    Case("fr-upper", "STOP: Gemini's word", stream(ROLE, *TEXT, chunk({}, "STOP"), USAGE, DONE), RIGHT),
    Case(
        "fr-maxtok", "max_tokens: Anthropic's word", whole(completion(message(SAID, "max_tokens"))), Expected(SAID, "length"), form="json"
    ),
    Case("fr-maxtok", "max_tokens: Anthropic's word", stream(ROLE, *TEXT, chunk({}, "max_tokens"), USAGE, DONE), Expected(SAID, "length")),
    Case("fr-safety", "SAFETY: Gemini's word", whole(completion(message(SAID, "SAFETY"))), Expected(SAID, "content_filter"), form="json"),
    Case("fr-safety", "SAFETY: Gemini's word", stream(ROLE, *TEXT, chunk({}, "SAFETY"), USAGE, DONE), Expected(SAID, "content_filter")),
    Case(
        "fr-refusal",
        "refusal: Anthropic's word",
        whole(completion(message(SAID, "refusal"))),
        Expected(SAID, "content_filter"),
        form="json",
    ),
    Case(
        "fr-refusal", "refusal: Anthropic's word", stream(ROLE, *TEXT, chunk({}, "refusal"), USAGE, DONE), Expected(SAID, "content_filter")
    ),
    Case(
        "j-nofinish",
        "no finish_reason",
        whole(completion({"index": 0, "message": {"role": "assistant", "content": SAID}})),
        RIGHT,
        form="json",
    ),
    Case("fr-object", "an object in its place", whole(completion(message(SAID, {"type": "stop"}))), RIGHT, form="json"),
    Case("fr-object", "an object in its place", stream(ROLE, *TEXT, chunk({}, {"type": "stop"}), USAGE, DONE), RIGHT),
    # Cut answers that pass as whole.
    Case(
        "m-choice-error",
        "an error in the choice",
        whole(
            completion(
                {
                    "index": 0,
                    "finish_reason": "error",
                    "error": {"code": 502, "message": "Upstream idle timeout"},
                    "message": {"role": "assistant", "content": "Der Zug "},
                }
            )
        ),
        Failed("idle timeout"),
        form="json",
        sources=("genkit-ai/genkit#6079",),
    ),
    Case(
        "m-choice-error",
        "an error in the choice",
        stream(
            ROLE,
            chunk({"content": "Der Zug "}),
            event(
                {"index": 0, "finish_reason": "error", "error": {"code": 502, "message": "Upstream idle timeout"}, "delta": {"content": ""}}
            ),
            USAGE,
            DONE,
        ),
        Failed("idle timeout"),
        sources=("genkit-ai/genkit#6079",),
    ),
    Case("fr-abort", "abort: the answer was cut (vLLM, SGLang)", whole(completion(message(SAID, "abort"))), Failed(), form="json"),
    Case("fr-abort", "abort: the answer was cut (vLLM, SGLang)", stream(ROLE, *TEXT, chunk({}, "abort"), USAGE, DONE), Failed()),
    Case(
        "fr-insuff",
        "insufficient_system_resource: the answer was cut (DeepSeek)",
        whole(completion(message(SAID, "insufficient_system_resource"))),
        Failed(),
        form="json",
    ),
    Case(
        "fr-insuff",
        "insufficient_system_resource: the answer was cut (DeepSeek)",
        stream(ROLE, *TEXT, chunk({}, "insufficient_system_resource"), USAGE, DONE),
        Failed(),
    ),
    Case(
        "m-vllm-abort",
        "abort after the first text",
        stream(ROLE, chunk({"content": "Der Zug "}), chunk({"content": ""}, "abort", stop_reason=None), USAGE, DONE),
        Failed(),
        sources=("vllm-project/vllm#57082",),
    ),
    Case(
        "m-finish-error",
        "error behind the first text",
        whole(
            completion(
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Der Zug ", "refusal": None},
                    "logprobs": None,
                    "finish_reason": "error",
                    "native_finish_reason": "network_error",
                }
            )
        ),
        Failed(),
        form="json",
        sources=("damianvtran/local-operator#223", "CherryHQ/cherry-studio#16079", "OleksandrChekhovskyi/hax#15"),
    ),
    Case(
        "m-finish-error",
        "error behind the first text",
        stream(ROLE, chunk({"content": "Der Zug "}), chunk({"content": ""}, "error", native_finish_reason="network_error"), USAGE, DONE),
        Failed(),
        sources=("damianvtran/local-operator#223", "CherryHQ/cherry-studio#16079", "OleksandrChekhovskyi/hax#15"),
    ),
    # Finish_reason too early, empty or repeated.
    Case(
        "fr-empty-mid",
        "finish_reason empty before the end",
        stream(
            chunk({"role": "assistant", "content": ""}, ""),
            chunk({"content": "Der Zug "}, ""),
            chunk({"content": "nach Ulm "}, ""),
            chunk({"content": "fährt ab."}, ""),
            STOP,
            USAGE,
            DONE,
        ),
        RIGHT,
        sources=("ollama/ollama#4357", "sgl-project/sglang#3912", "adolfousier/opencrabs#1499"),
    ),
    Case("fr-empty-end", "finish_reason empty to the end", whole(completion(message(SAID, ""))), RIGHT, form="json", or_error=True),
    Case(
        "fr-int",
        "finish_reason is the number 0",
        stream(ROLE, *TEXT, chunk({}, 0), USAGE, DONE),
        RIGHT,
        sources=("Portkey-AI/gateway#785",),
    ),
    Case(
        "fr-stop-every",
        "finish_reason stop in every chunk",
        stream(
            chunk({"role": "assistant", "content": "Der Zug "}, "stop"),
            chunk({"role": "assistant", "content": "nach Ulm "}, "stop"),
            chunk({"role": "assistant", "content": "fährt ab."}, "stop"),
            USAGE,
            DONE,
        ),
        RIGHT,
        sources=("open-webui/open-webui#16377",),
    ),
    Case(
        "fr-then-empty",
        "empty text with the usage behind the finish_reason",
        stream(ROLE, *TEXT, STOP, event(choice({"content": ""}), usage=USED), DONE),
        RIGHT,
    ),
)
