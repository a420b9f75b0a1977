"""Errors as openai-python shows them: the right class, all of the envelope, and no retry that cannot help (docs/contract.md, Errors)."""

from collections.abc import Iterable
from io import StringIO
from typing import Any, NamedTuple

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from tests.clients.openai_python import Sdk
from tests.support.upstream import MockUpstream

MODEL = "gpt-3.5-turbo"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello to all of you"}]
INVALID = "invalid_request_error"


class Refused(NamedTuple):
    """A request, and the error that it must raise after `requests` tries."""

    name: str
    params: dict[str, Any]
    error: type[openai.APIStatusError]
    status: int
    type: str
    code: str | None
    param: str | None = None
    requests: int = 1


REFUSED = [
    Refused("wrong-value", {"n": 0}, openai.BadRequestError, 400, INVALID, "integer_below_min_value", "n"),
    Refused("unknown-parameter", {"extra_body": {"zzz": 1}}, openai.BadRequestError, 400, INVALID, "unknown_parameter", "zzz"),
    Refused("unknown-model", {"model": "gpt-9"}, openai.NotFoundError, 404, INVALID, "model_not_found"),
    Refused("too-large", {"user": "x" * 100_000}, openai.APIStatusError, 413, INVALID, "request_too_large"),
    Refused("rate-limit", {"model": "limited"}, openai.RateLimitError, 429, "requests", "upstream_rate_limited", requests=3),
    Refused("upstream-failure", {"model": "status-500"}, openai.InternalServerError, 502, "server_error", "upstream_error", requests=3),
]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_refused(sdk: Sdk, refused: Refused, stream: bool) -> None:
    before = len(sdk.sent)
    with pytest.raises(refused.error) as caught:
        sdk.client.chat.completions.create(**{"model": MODEL, "messages": HELLO, "stream": stream, **refused.params})
    error = caught.value
    assert type(error) is refused.error
    assert (error.status_code, error.type, error.code, error.param) == (refused.status, refused.type, refused.code, refused.param)
    assert str(error.request_id).startswith("req_")
    assert len(sdk.sent) - before == refused.requests


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_wrong_key(sdk: Sdk, stream: bool) -> None:
    before = len(sdk.sent)
    with pytest.raises(openai.AuthenticationError) as caught:
        sdk.client.with_options(api_key="sk-wrong-0123456789").chat.completions.create(model=MODEL, messages=HELLO, stream=stream)
    error = caught.value
    assert (error.status_code, error.type, error.code, error.param) == (401, INVALID, "invalid_api_key", None)
    assert error.response.headers["www-authenticate"] == "Bearer"
    assert "sk-wrong-0123456789" not in str(error)
    assert str(error.request_id).startswith("req_")
    assert len(sdk.sent) - before == 1


def test_unknown_model_card(sdk: Sdk) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.client.models.retrieve("gpt-9")
    assert caught.value.code == "model_not_found"


FAILED = {
    "errorevent": ("server_error", "overloaded"),
    "trunc": ("server_error", "upstream_incomplete"),
    "cut": ("server_error", "upstream_disconnected"),
    "rst": ("server_error", "upstream_disconnected"),
}
"""Type and code, by what the upstream does after three events."""


@pytest.mark.parametrize("model", FAILED)
def test_failed_stream(sdk: Sdk, upstream: MockUpstream, model: str) -> None:
    """A stream that fails after it began is an error to the SDK, never a short answer."""
    upstream.reset()
    before = len(sdk.sent)
    seen = StringIO()
    with pytest.raises(openai.APIError) as caught:
        _read(sdk.client.chat.completions.create(model=model, messages=HELLO, stream=True), seen)
    assert type(caught.value) is openai.APIError
    assert (caught.value.type, caught.value.code, caught.value.param) == (*FAILED[model], None)
    assert seen.getvalue() == "Hello to "
    assert (len(sdk.sent) - before, len(upstream.requests)) == (1, 1)


def _read(stream: Iterable[ChatCompletionChunk], seen: StringIO) -> None:
    for chunk in stream:
        seen.write(chunk.choices[0].delta.content or "")
