"""Whole answers that lack what they must have."""

from tests.upstreams.cases.wire import RIGHT, SAID, USED, Case, Expected, completion, whole

CASES = (
    # Whole answers that are not corrected.
    Case(
        "s-idempty",
        "an empty id",
        whole(
            {
                "id": "",
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
            }
        ),
        RIGHT,
        form="json",
    ),
    Case(
        "s-created-str",
        "created is a text",
        whole(
            {
                "id": "chatcmpl-c1",
                "object": "chat.completion",
                "created": "2026-10-20T17:02:14+00:00",
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
            }
        ),
        RIGHT,
        form="json",
        sources=("openai/openai-python#663",),
    ),
    Case(
        "s-object",
        "object is text_completion",
        whole(
            {
                "id": "chatcmpl-c1",
                "object": "text_completion",
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
            }
        ),
        RIGHT,
        form="json",
    ),
    Case(
        "s-go1002",
        "id empty, created a date, model null, no usage",
        whole(
            {
                "id": "",
                "created": "2025/05/16 16:29:57",
                "model": None,
                "object": "chat.completion",
                "system_fingerprint": None,
                "usage": {},
                "service_tier": None,
                "code": 0,
                "error_message": "",
                "choices": [
                    {
                        "finish_reason": "stop",
                        "index": 0,
                        "message": {"content": SAID, "role": "assistant", "tool_calls": None, "function_call": None},
                    }
                ],
            }
        ),
        Expected(SAID, "stop", usage=None),
        form="json",
        sources=("sashabaranov/go-openai#1002",),
    ),
    Case(
        "s-noindex",
        "Cloudflare, no index, no finish_reason",
        whole(completion({"message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"})),
        RIGHT,
        form="json",
        sources=("vercel/ai#4031",),
    ),
    Case(
        "j-nocontent",
        "Gemini: a message without content",
        whole(completion({"index": 0, "message": {"role": "assistant"}, "finish_reason": "length"})),
        Expected("", "length"),
        form="json",
    ),
)
