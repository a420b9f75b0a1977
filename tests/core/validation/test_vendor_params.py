"""Parameters that OpenAI's API does not have."""

from typing import Any

import pytest

from completions_mw.core.validation.request import validate
from completions_mw.core.validation.vendor_params import REJECT, ParamPolicy
from completions_mw.errors import InvalidRequestError

BASE: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def said(part: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]}


NESTED: dict[str, dict[str, Any]] = {
    "stream_options.continuous_usage_stats": {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    "content.video_url": said({"type": "video_url", "video_url": {"url": "https://example.com/v"}}),
    "input_audio.format": said({"type": "input_audio", "input_audio": {"data": "", "format": "flac"}}),
    "tools.type": {"tools": [{"type": "web_search_preview"}]},
    "service_tier": {"service_tier": "on_demand"},
}
"""Values of vendors in parameters of OpenAI's, by the name under which they are forwarded."""


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("policy", ["named", "forward"])
def test_what_is_forwarded_reaches_the_target_as_it_came(name: str, policy: str) -> None:
    chat = validate(
        {**BASE, **NESTED[name]}, policy=ParamPolicy("forward") if policy == "forward" else ParamPolicy(forwarded=frozenset({name}))
    )
    assert chat.fields == {**BASE, **NESTED[name]}
    assert chat.include_usage == (name == "stream_options.continuous_usage_stats")


@pytest.mark.parametrize("name", NESTED)
def test_what_is_not_forwarded_is_refused(name: str) -> None:
    for policy in (REJECT, ParamPolicy(forwarded=frozenset(NESTED) - {name})):
        with pytest.raises(InvalidRequestError):
            validate({**BASE, **NESTED[name]}, policy=policy)


@pytest.mark.parametrize("choice", ["any", {"type": "web_search_preview"}, {"type": "function", "function": {"name": "web"}}])
def test_the_choice_of_a_vendors_tool_is_forwarded(choice: Any) -> None:
    fields = {**BASE, **NESTED["tools.type"], "tool_choice": choice}
    assert validate(fields, policy=ParamPolicy("forward")).fields == fields


@pytest.mark.parametrize("choice", [{}, {"type": 1}, 1, []])
def test_what_is_no_choice_of_a_tool_is_refused(choice: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validate({**BASE, **NESTED["tools.type"], "tool_choice": choice}, policy=ParamPolicy("forward"))
    assert (caught.value.param or "").startswith("tool_choice")


def test_other_faults_are_found_beside_what_is_forwarded() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validate({**BASE, **NESTED["content.video_url"], "n": "2"}, policy=ParamPolicy("forward"))
    assert caught.value.param == "n"


def test_names_are_forwarded_one_by_one() -> None:
    policy = ParamPolicy(forwarded=frozenset({"min_p"}))
    chat = validate({**BASE, "min_p": 0.1}, policy=policy)
    assert (chat.fields["min_p"], chat.request.model_extra) == (0.1, {"min_p": 0.1})
    with pytest.raises(InvalidRequestError) as caught:
        validate({**BASE, "min_p": 0.1, "models": ["x"]}, policy=policy)
    assert caught.value.param == "models"


def test_what_is_ignored_is_told() -> None:
    fields = {**BASE, "min_p": 0.1, "stream": True, "stream_options": {"include_usage": True, "x": 1}}
    chat = validate(fields, policy=ParamPolicy("ignore"))
    assert chat.ignored == ("min_p", "stream_options.x")
    assert chat.fields == {**BASE, "stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize(("name", "who"), [("min_p", "vLLM"), ("think", "Ollama"), ("zzz", None)])
def test_a_refusal_keeps_the_text_of_openai_and_may_add_a_hint(name: str, who: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validate({**BASE, name: 1})
    text, _, hint = caught.value.message.partition(" (HINT: ")
    assert text == f"Unknown parameter: '{name}'."
    assert (who or "") in hint
    assert bool(hint) == (who is not None)
    assert caught.value.model == "m"
