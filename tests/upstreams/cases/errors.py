"""Errors, in the shapes in which servers send them."""

from tests.upstreams.cases.wire import DONE, RIGHT, ROLE, USAGE, Case, Failed, choice, chunk, event, stream, whole

CASES = (
    # The reason of an error.
    Case(
        "e400-gemini",
        "Gemini, an error in a list",
        whole(
            [
                {
                    "error": {
                        "code": 400,
                        "message": 'Unknown name "web_search_options": Cannot find field.',
                        "status": "INVALID_ARGUMENT",
                        "details": [],
                    }
                }
            ],
            400,
        ),
        Failed("web_search_options", status=400),
        form="both",
        sources=("FuzzAnything/PromptFuzz#42", "lastmile-ai/mcp-agent#121"),
    ),
    Case(
        "e422-detail",
        "FastAPI, a list",
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
        Failed("Extra inputs", status=400),
        form="both",
        sources=("NVIDIA-NeMo/nemo-platform#1437",),
    ),
    Case(
        "e400-cf",
        "Cloudflare: a list of errors",
        whole(
            {
                "success": False,
                "errors": [{"code": 5006, "message": "AiError: Bad input: required properties are missing"}],
                "result": {},
                "messages": [],
            },
            400,
        ),
        Failed("required properties", status=400),
        form="both",
    ),
    Case(
        "e400-foundry",
        "Azure Foundry, text behind the JSON",
        whole(
            '{"object":"error","message":"Tool \'g\' not found in tools list.","type":"BadRequestError","param":null,"code":400}'
            "\nPlease check the documentation.",
            400,
        ),
        Failed("not found in tools", status=400),
        form="both",
        sources=("experientiallabs/experiential#964",),
    ),
    Case(
        "e400-xai",
        "xAI, the code stands beside the error",
        whole({"code": "invalid-argument", "error": "The parameter foo is wrong."}, 400),
        Failed("parameter foo", status=400, code="invalid-argument"),
        form="both",
        sources=("experientiallabs/experiential#964",),
    ),
    Case(
        "m-array-error",
        "Gemini: an error in a list",
        stream(
            ROLE,
            chunk({"content": "Der Zug "}),
            'data: [{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]',
        ),
        Failed("overloaded"),
    ),
    Case(
        "ct-err200-json",
        "an error with status 200, in JSON",
        whole({"error": {"message": "quota of the day is used up", "type": "quota_error", "param": None, "code": "day_quota"}}),
        Failed("quota of the day"),
        sources=("ggml-org/llama.cpp#14566",),
    ),
    # Secrets in code, type and param.
    Case(
        "sec-fields",
        "our key in type, param and code",
        whole(
            {
                "error": {
                    "message": "bad key",
                    "type": "t sk-upstream-canary-9d2e11",
                    "param": "authorization: sk-upstream-canary-9d2e11",
                    "code": "c sk-upstream-canary-9d2e11",
                }
            },
            400,
        ),
        Failed(status=400),
        form="json",
    ),
    Case(
        "sec-fields-mid",
        "our key in message, type, param and code",
        stream(
            ROLE,
            chunk({"content": "Der Zug "}),
            {
                "error": {
                    "message": "bad key sk-upstream-canary-9d2e11",
                    "type": "t sk-upstream-canary-9d2e11",
                    "param": "p sk-upstream-canary-9d2e11",
                    "code": "c sk-upstream-canary-9d2e11",
                }
            },
        ),
        Failed(),
    ),
    # Advice on retries.
    Case(
        "e429-3600",
        "retry-after of an hour, which openai-node sleeps through",
        whole(
            {"error": {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
            429,
            headers={"retry-after": "3600"},
        ),
        Failed(status=429, retry="capped"),
        form="both",
        sources=("openai/openai-node#1840",),
    ),
    Case(
        "e429-date",
        "retry-after is a date",
        whole(
            {"error": {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
            429,
            headers={"retry-after": "Wed, 01 Dec 2032 07:28:00 GMT"},
        ),
        Failed(status=429, retry="capped"),
        form="both",
    ),
    Case(
        "e429-sr",
        "x-should-retry: false",
        whole(
            {"error": {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
            429,
            headers={"x-should-retry": "false"},
        ),
        Failed(status=429, retry="never"),
        form="both",
    ),
    # Errors in other shapes, then [DONE].
    Case(
        "m-llama-old",
        "a field `error`, then [DONE]",
        stream(
            ROLE, chunk({"content": "Der Zug "}), 'error: {"code":500,"message":"context shift is disabled","type":"server_error"}', DONE
        ),
        Failed("context shift"),
        sources=("ggml-org/llama.cpp#16109", "coddy-project/coddy-agent#106"),
    ),
    Case(
        "m-error-text",
        "an event `error` with a text that is no JSON",
        stream(ROLE, chunk({"content": "Der Zug "}), "event: error\ndata: the worker is gone", DONE),
        Failed("worker is gone"),
    ),
    Case(
        "m-message-done",
        "code and message as an event, then [DONE]",
        stream(ROLE, chunk({"content": "Der Zug "}), {"code": 500, "message": "worker died", "details": "INTERNAL"}, DONE),
        Failed(),
        sources=("comet-ml/opik#1138",),
    ),
    Case(
        "m-code-only",
        "MiniMax: base_resp as an event, then [DONE]",
        stream(ROLE, chunk({"content": "Der Zug "}), {"base_resp": {"status_code": 1013, "status_msg": "unknown error"}}, DONE),
        Failed(),
    ),
    Case(
        "m-ollama-line",
        "a bare line of JSON, then [DONE]",
        stream(ROLE, chunk({"content": "Der Zug "}), '{"error":"an error was encountered while running the model"}', DONE),
        Failed(),
        sources=("use-agent-os/agent-os#2214",),
    ),
    # An error that is none.
    Case(
        "m-error-empty",
        "an `error` that is {} beside a good answer",
        stream(
            event(choice({"role": "assistant", "content": ""}), error={}),
            event(choice({"content": "Der Zug "}), error={}),
            event(choice({"content": "nach Ulm "}), error={}),
            event(choice({"content": "fährt ab."}), error={}),
            event(choice({}, "stop"), error={}),
            USAGE,
            DONE,
        ),
        RIGHT,
    ),
    Case(
        "m-error-emptytext",
        "an `error` that is '' beside a good answer",
        stream(
            event(choice({"role": "assistant", "content": ""}), error=""),
            event(choice({"content": "Der Zug "}), error=""),
            event(choice({"content": "nach Ulm "}), error=""),
            event(choice({"content": "fährt ab."}), error=""),
            event(choice({}, "stop"), error=""),
            USAGE,
            DONE,
        ),
        RIGHT,
    ),
)
