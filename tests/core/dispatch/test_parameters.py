"""What happens to parameters that a target does not take: refused, left out or changed (docs/settings.md, Unsupported parameters)."""

from typing import Any, NamedTuple, get_args

import pytest

from completions_mw.core.dispatch.parameters import TargetParams, unable
from completions_mw.core.validation.request import Chat, validate
from completions_mw.errors import InvalidRequestError
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.types import UnsupportedParams

CAPABILITIES = Capabilities(
    unsupported=frozenset({"seed", "logprobs", "presence_penalty", "tools", "user", "top_k", "stream_options", "store", "response_format"}),
    ranges={"temperature": (0, 1)},
    refused={
        "tool_choice": frozenset({"required", "function"}),
        "reasoning_effort": frozenset({"max"}),
        "modalities": frozenset({"audio"}),
    },
    max_choices=1,
    max_stop=2,
)
OTHER = Capabilities(refused={"tool_choice": frozenset({"required", "function"})})
"""Of a service that has tools."""
TOOL = {"type": "function", "function": {"name": "f"}}
NAMED = {"type": "function", "function": {"name": "f"}}


def chat(**fields: Any) -> Chat:
    return validate({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})


def params(policy: UnsupportedParams, capabilities: Capabilities = CAPABILITIES) -> TargetParams:
    return TargetParams("up/m", capabilities, policy)


REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    ({"seed": 7}, "unsupported_parameter", "seed", "Unsupported parameter: 'seed' is not supported with this model."),
    ({"top_k": 40}, "unsupported_parameter", "top_k", "Unsupported parameter: 'top_k' is not supported with this model."),
    (
        {"logprobs": True, "top_logprobs": 3},
        "unsupported_parameter",
        "logprobs",
        "Unsupported parameter: 'logprobs' is not supported with this model.",
    ),
    ({"tools": [TOOL]}, "unsupported_parameter", "tools", "Unsupported parameter: 'tools' is not supported with this model."),
    ({"store": True}, "unsupported_parameter", "store", "Unsupported parameter: 'store' is not supported with this model."),
    (
        {"temperature": 1.5},
        "unsupported_value",
        "temperature",
        "Unsupported value: 'temperature' does not support 1.5 with this model. Supported values are: 0 to 1.",
    ),
    ({"n": 3}, "unsupported_value", "n", "Unsupported value: 'n' does not support 3 with this model. Supported values are: 1."),
    (
        {"stop": ["a", "b", "c"]},
        "unsupported_value",
        "stop",
        "Unsupported value: 'stop' does not support 3 sequences with this model. Supported values are: up to 2.",
    ),
    (
        {"reasoning_effort": "max"},
        "unsupported_value",
        "reasoning_effort",
        "Unsupported value: 'reasoning_effort' does not support 'max' with this model.",
    ),
    (
        {"modalities": ["text", "audio"], "audio": {"voice": "ash", "format": "wav"}},
        "unsupported_value",
        "modalities",
        "Unsupported value: 'modalities' does not support 'audio' with this model.",
    ),
]


@pytest.mark.parametrize(("fields", "code", "param", "text"), REFUSED, ids=[param for _, _, param, _ in REFUSED])
def test_rejected(fields: dict[str, Any], code: str, param: str, text: str) -> None:
    error = params("reject").refusal(chat(**fields))
    assert error is not None
    assert (error.status, error.type, error.code, error.param, error.message) == (400, "invalid_request_error", code, param, text)
    assert error.target == "up/m"


@pytest.mark.parametrize("fields", [fields for fields, _, _, _ in REFUSED], ids=[param for _, _, param, _ in REFUSED])
@pytest.mark.parametrize("policy", ["drop", "clamp"])
def test_what_is_not_rejected_is_not_refused(policy: UnsupportedParams, fields: dict[str, Any]) -> None:
    assert params(policy).refusal(chat(**fields)) is None


class Case(NamedTuple):
    """A request, and what the target gets of its parameters."""

    fields: dict[str, Any]
    dropped: dict[str, Any]
    clamped: dict[str, Any]
    names: tuple[str, ...]
    capabilities: Capabilities = CAPABILITIES


CHANGED = {
    "unsupported": Case({"seed": 7, "max_tokens": 5}, {"max_tokens": 5}, {"max_tokens": 5}, ("seed",)),
    "range": Case({"temperature": 1.5}, {}, {"temperature": 1}, ("temperature",)),
    "choices": Case({"n": 3}, {}, {"n": 1}, ("n",)),
    "stops": Case({"stop": ["a", "b", "c"]}, {}, {"stop": ["a", "b"]}, ("stop",)),
    "value": Case({"reasoning_effort": "max"}, {}, {}, ("reasoning_effort",)),
    "what-belongs-to-it": Case(
        {"logprobs": True, "top_logprobs": 3, "tools": [TOOL], "tool_choice": "auto"},
        {},
        {},
        ("logprobs", "tool_choice", "tools", "top_logprobs"),
    ),
    "object": Case({"tools": [TOOL], "tool_choice": NAMED}, {"tools": [TOOL]}, {"tools": [TOOL]}, ("tool_choice",), OTHER),
    "several": Case({"seed": 1, "temperature": 2, "top_p": 0.5}, {"top_p": 0.5}, {"temperature": 1, "top_p": 0.5}, ("seed", "temperature")),
}


@pytest.mark.parametrize("case", CHANGED.values(), ids=CHANGED)
def test_dropped_and_clamped(case: Case) -> None:
    asked = chat(**case.fields)
    expectations: dict[UnsupportedParams, dict[str, Any]] = {"drop": case.dropped, "clamp": case.clamped}
    for policy, expected in expectations.items():
        fitted = params(policy, case.capabilities).fit(asked)
        assert {name: value for name, value in fitted.fields.items() if name not in ("model", "messages")} == expected
        assert fitted.dropped == case.names
        # The core and models in this process read the request, and upstreams get the fields.
        assert fitted.request.model_dump(exclude_none=True, include=set(case.fields)) == expected
        assert fitted.n == expected.get("n", 1)
    assert not fitted.forces_call
    assert asked.fields.keys() == {"model", "messages", *case.fields}


SAME = [{"presence_penalty": 0}, {"logprobs": False}, {"top_k": -1}, {"top_k": 0}, {"store": False}, {"response_format": {"type": "text"}}]


@pytest.mark.parametrize("fields", SAME, ids=str)
def test_what_asks_for_nothing_is_left_out_and_not_told(fields: dict[str, Any]) -> None:
    policies: tuple[UnsupportedParams, ...] = get_args(UnsupportedParams)
    for policy in policies:
        assert params(policy).refusal(chat(**fields)) is None
        fitted = params(policy).fit(chat(**fields))
        assert fitted.fields.keys() == {"model", "messages"}
        assert fitted.dropped == ()


def test_what_does_not_change_the_answer_is_left_out_and_told() -> None:
    asked = chat(user="u")
    assert params("reject").refusal(asked) is None
    fitted = params("reject").fit(asked)
    assert (set(fitted.fields), fitted.dropped) == ({"model", "messages"}, ("user",))


def test_stream_options_are_the_wire_formats() -> None:
    asked = chat(stream=True, stream_options={"include_usage": True})
    assert params("reject").refusal(asked) is None
    assert params("reject").fit(asked) is asked


@pytest.mark.parametrize(
    "fields", [{"temperature": 1}, {"n": 1}, {"stop": "a"}, {"stop": ["a", "b"]}, {"reasoning_effort": "high"}], ids=str
)
def test_what_fits_is_not_touched(fields: dict[str, Any]) -> None:
    asked = chat(**fields)
    assert params("reject").refusal(asked) is None
    assert params("clamp").fit(asked) is asked


class Target(NamedTuple):
    name: str
    params: TargetParams | None = None


def test_the_targets_that_do_not_take_a_request() -> None:
    limited, other, free = Target("limited", params("reject")), Target("other", params("reject", OTHER)), Target("free")
    assert unable([limited, other, free], chat()) == []
    assert unable([limited, other, free], chat(seed=1)) == [limited]
    assert unable([limited, other, free], chat(tools=[TOOL], tool_choice="required")) == [limited, other]
    with pytest.raises(InvalidRequestError, match="'tools'"):
        unable([limited, other], chat(tools=[TOOL], tool_choice="required"))
