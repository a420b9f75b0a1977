"""Usage in another place or in other words, and usage of zeros."""

from tests.upstreams.cases.wire import (
    DONE,
    RIGHT,
    ROLE,
    SAID,
    STOP,
    TEXT,
    USED,
    Case,
    Expected,
    choice,
    chunk,
    completion,
    event,
    message,
    stream,
    whole,
)

CASES = (
    # Usage in another place or form.
    Case("u-nototal", "no total", whole(completion(message(), usage={"prompt_tokens": 20, "completion_tokens": 6})), RIGHT, form="json"),
    Case("u-nototal", "no total", stream(ROLE, *TEXT, STOP, event(usage={"prompt_tokens": 20, "completion_tokens": 6}), DONE), RIGHT),
    Case(
        "u-float",
        "whole numbers as 20.0",
        whole(completion(message(), usage={"prompt_tokens": 20.0, "completion_tokens": 6.0, "total_tokens": 26.0})),
        RIGHT,
        form="json",
    ),
    Case(
        "u-anthropic",
        "input_tokens and output_tokens",
        whole(completion(message(), usage={"input_tokens": 20, "output_tokens": 6})),
        RIGHT,
        form="json",
    ),
    Case(
        "u-anthropic",
        "input_tokens and output_tokens",
        stream(ROLE, *TEXT, STOP, event(usage={"input_tokens": 20, "output_tokens": 6}), DONE),
        RIGHT,
    ),
    Case(
        "u-moonshot",
        "usage in the choice",
        stream(ROLE, *TEXT, chunk({}, "stop", usage=USED), DONE),
        RIGHT,
        sources=("earendil-works/pi#2017", "higress-group/higress#1568", "northes/go-moonshot#17"),
    ),
    Case(
        "u-text", "counts as texts", stream(ROLE, *TEXT, STOP, event(usage={"prompt_tokens": "20", "completion_tokens": "6"}), DONE), RIGHT
    ),
    Case(
        "u-groq",
        "Groq, in a member of its own",
        stream(ROLE, *TEXT, event(choice({}, "stop"), x_groq={"id": "req_1", "usage": USED}), DONE),
        RIGHT,
    ),
    Case(
        "u-gemini",
        "Gemini's own words",
        stream(ROLE, *TEXT, STOP, event(usageMetadata={"promptTokenCount": 20, "candidatesTokenCount": 6}), DONE),
        RIGHT,
    ),
    # Usage of zeros.
    Case(
        "u-zero-final",
        "zeros, though there is text",
        whole(completion(message(), usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})),
        Expected(SAID, "stop", usage=None),
        form="json",
        sources=("BerriAI/litellm#36859",),
    ),
    Case(
        "u-compl0",
        "no completion, though there is text",
        whole(completion(message(), usage={"prompt_tokens": 20, "total_tokens": 20, "completion_tokens": 0})),
        Expected(SAID, "stop", usage=None),
        form="json",
    ),
)
