"""How an answer is sent: media types, encodings, blanks, and what a server refuses."""

from tests.upstreams.cases.wire import (
    DONE,
    GZIPPED,
    RIGHT,
    ROLE,
    SAID,
    STOP,
    TEXT,
    USAGE,
    Case,
    Expected,
    Failed,
    chunk,
    completion,
    message,
    stream,
    whole,
)

CASES = (
    # Stream_options refused.
    Case(
        "so-refused",
        "refuses what the client never sent",
        whole(
            {
                "error": {
                    "message": "Unrecognized request argument supplied: stream_options",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": None,
                }
            },
            400,
        ),
        Expected(SAID, "stop", usage=None),
        refuses="stream_options",
        otherwise=stream(ROLE, *TEXT, STOP, DONE),
        sources=("earendil-works/pi#596", "avante-corp/avante.nvim#2347"),
    ),
    Case(
        "so-422",
        "refuses what the client never sent",
        whole(
            {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "stream_options"],
                        "msg": "Extra inputs are not permitted",
                        "input": {"include_usage": True},
                    }
                ]
            },
            422,
        ),
        Expected(SAID, "stop", usage=None),
        refuses="stream_options",
        otherwise=stream(ROLE, *TEXT, STOP, DONE),
        sources=("openai/openai-agents-python#442", "TabbyML/tabby#4082", "BerriAI/litellm#8978"),
    ),
    # Heartbeats and blanks.
    Case("f-twospace", "two blanks before every payload", stream(ROLE, *TEXT, STOP, USAGE, "data:  [DONE]", name="data:  "), RIGHT),
    Case(
        "f-done-space",
        "a blank behind [DONE], which openai-python reads",
        stream(ROLE, *TEXT, STOP, USAGE, "data: [DONE] "),
        RIGHT,
        sources=("mistralai/mistral-vibe#793",),
    ),
    Case(
        "f-emptydata",
        "an event without data",
        stream(
            ROLE,
            "data: ",
            chunk({"content": "Der Zug "}),
            chunk({"content": "nach Ulm "}),
            "data:",
            chunk({"content": "fährt ab."}),
            STOP,
            USAGE,
            DONE,
        ),
        RIGHT,
        sources=("netease-lcap/wave-agent#1326", "Growth-Circle/cadis#362", "Growth-Circle/cadis#2329"),
    ),
    # A good answer, to compare.
    Case("plain", "OpenAI", whole(completion(message())), RIGHT, form="json"),
    Case("plain", "OpenAI", stream(ROLE, *TEXT, STOP, USAGE, DONE), RIGHT),
    # Streams of another media type.
    Case(
        "ct-json",
        "a stream labelled JSON",
        stream(ROLE, *TEXT, STOP, USAGE, DONE, content_type="application/json"),
        RIGHT,
        sources=("microsoft/foundry-dev-tools#195",),
    ),
    Case(
        "ct-upper",
        "media types are case-insensitive (RFC 9110, 8.3.1)",
        stream(ROLE, *TEXT, STOP, USAGE, DONE, content_type="Text/Event-Stream; Charset=UTF-8"),
        RIGHT,
    ),
    # 201, 203, content-encoding.
    Case("h-gzip429", "a gzipped 429", GZIPPED, Failed(status=429, retry=2), form="json"),
    Case(
        "h-enc-identity",
        "content-encoding Identity",
        whole(completion(message()), headers={"content-encoding": "Identity"}),
        RIGHT,
        form="json",
    ),
    Case(
        "h-enc-identity",
        "content-encoding Identity",
        stream(ROLE, *TEXT, STOP, USAGE, DONE, headers={"content-encoding": "Identity"}),
        RIGHT,
    ),
    Case("h-201", "201, which NestJS answers by itself to POST", whole(completion(message()), 201), RIGHT, form="json"),
    Case("h-201", "201, which NestJS answers by itself to POST", stream(ROLE, *TEXT, STOP, USAGE, DONE, status=201), RIGHT),
)
