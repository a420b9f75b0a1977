"""Text in another place or of another type."""

import json

from tests.upstreams.cases.wire import (
    DONE,
    RIGHT,
    ROLE,
    SAID,
    STOP,
    USAGE,
    USED,
    Case,
    Expected,
    chunk,
    completion,
    event,
    message,
    stream,
    whole,
)

HALVES = tuple(f"data: {json.dumps(chunk({'content': text}))}" for text in ("Gut \ud83d", "\ude00 so"))
"""A surrogate pair that was cut into two chunks, as JSON escapes."""

CASES = (
    # Text in another place.
    Case(
        "s-message",
        "message in place of delta",
        stream(
            event({"index": 0, "message": {"role": "assistant", "content": "Der Zug "}, "finish_reason": None}),
            event({"index": 0, "message": {"role": "assistant", "content": "nach Ulm "}, "finish_reason": None}),
            event({"index": 0, "message": {"role": "assistant", "content": "fährt ab."}, "finish_reason": None}),
            event({"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}),
            USAGE,
            DONE,
        ),
        RIGHT,
        or_error=True,
    ),
    Case(
        "j-nomessage",
        "Gemini: a choice without message",
        whole(completion({"index": 0, "finish_reason": "stop"})),
        Expected("", "stop"),
        form="json",
        or_error=True,
    ),
    Case(
        "j-text",
        "text in place of message",
        whole(completion({"index": 0, "text": SAID, "finish_reason": "stop"})),
        RIGHT,
        form="json",
        or_error=True,
    ),
    Case(
        "ct-whole-event",
        "a whole answer as the only event",
        stream(
            {
                "id": "chatcmpl-c1",
                "object": "chat.completion",
                "created": 1790000100,
                "model": "real-name",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": SAID, "refusal": None},
                        "logprobs": None,
                        "finish_reason": "stop",
                    }
                ],
                "usage": USED,
            },
            DONE,
        ),
        RIGHT,
        or_error=True,
    ),
    # Content that is no text.
    Case(
        "s-number",
        "digits as JSON numbers",
        stream(
            ROLE,
            chunk({"content": "Seite ["}),
            chunk({"content": 6}),
            chunk({"content": "] von "}),
            chunk({"content": 0.005}),
            STOP,
            USAGE,
            DONE,
        ),
        Expected("Seite [6] von 0.005", "stop"),
        sources=("cloudflare/ai#651", "mastra-ai/mastra#18289"),
    ),
    Case(
        "s-thinklist",
        "Mistral, content is a list with thinking",
        whole(
            completion(
                message([{"type": "thinking", "thinking": [{"type": "text", "text": "Erst denken."}]}, {"type": "text", "text": SAID}])
            )
        ),
        Expected(SAID, "stop", kept=("Erst denken.",)),
        form="json",
        sources=("cline/cline#3032", "UKGovernmentBEIS/inspect_ai#2389"),
    ),
    Case(
        "s-dbxlist",
        "Databricks, content is a list with reasoning",
        stream(
            ROLE,
            chunk({"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Erst denken."}]}]}),
            chunk({"content": [{"type": "text", "text": "Der Zug "}]}),
            chunk({"content": "nach Ulm "}),
            chunk({"content": "fährt ab."}),
            STOP,
            USAGE,
            DONE,
        ),
        Expected(SAID, "stop", kept=("Erst denken.",)),
        sources=("posit-dev/chatlas#397", "databrickslabs/ontobricks#109"),
    ),
    Case(
        "u-nousage-list",
        "content is a list with text, no usage",
        whole(
            completion(
                message(
                    [
                        {
                            "type": "text",
                            "text": "x" * 400,
                        }
                    ]
                ),
                usage=None,
            )
        ),
        Expected("x" * 400, "stop", usage=None, at_least=100),
        form="json",
    ),
    Case("j-contentnum", "content is a number", whole(completion(message(42))), Expected("42", "stop"), form="json"),
    # NaN and halves of surrogate pairs.
    Case(
        "v-nan",
        "NaN and -Infinity",
        whole(
            completion(
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": SAID, "refusal": None},
                    "logprobs": {
                        "content": [
                            {
                                "token": "a",
                                "logprob": float("nan"),
                                "bytes": [97],
                                "top_logprobs": [{"token": "b", "logprob": float("-inf"), "bytes": [98]}],
                            }
                        ],
                        "refusal": None,
                    },
                    "finish_reason": "stop",
                }
            )
        ),
        RIGHT,
        form="json",
        request={"logprobs": True, "top_logprobs": 1},
        sources=("sgl-project/sglang#2955", "dphnAI/sonar#183", "NVIDIA-NeMo/RL#2962"),
    ),
    Case(
        "f-emoji-surr",
        "a surrogate pair split over two chunks",
        stream(
            ROLE,
            HALVES[0],
            HALVES[1],
            STOP,
            USAGE,
            DONE,
        ),
        Expected(("Gut 😀 so", "Gut �� so"), "stop"),
        sources=("elizaOS/eliza#30904", "elie222/rakazo#416"),
    ),
)
