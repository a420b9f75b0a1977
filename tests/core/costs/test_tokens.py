import pytest

from completions_mw.core.costs.tokens import at_least, estimate_tokens, estimate_usage, usage_object
from completions_mw.schemas import ChatRequest


@pytest.mark.parametrize(("characters", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_a_token_is_four_characters_rounded_up(characters: int, tokens: int) -> None:
    assert estimate_tokens(characters) == tokens


def test_usage_counts_the_text_of_all_messages() -> None:
    messages = [
        {"role": "system", "content": "12345"},
        {"role": "user", "content": [{"type": "text", "text": "678"}, {"type": "image_url", "image_url": {"url": "data:,"}}]},
        {"role": "assistant", "content": None},
    ]
    usage = estimate_usage(ChatRequest.model_validate({"model": "m", "messages": messages}), 9)
    assert usage == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}


def test_the_larger_of_each_kind_counts() -> None:
    assert at_least(usage_object(3, 9), usage_object(10, 4)) == usage_object(10, 9)
    assert at_least(usage_object(12, 1), usage_object(10, 4)) == usage_object(12, 4)


def test_what_is_in_the_total_alone_is_completion() -> None:
    assert at_least({**usage_object(3, 1), "total_tokens": 10}, usage_object(10, 4)) == usage_object(10, 7)
