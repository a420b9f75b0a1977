"""What Bedrock answers, beyond the corpus: whole answers, and errors."""

import pytest
from pydantic_core import to_json

from completions_mw import Settings
from completions_mw.errors import GatewayError
from completions_mw.providers import bedrock
from tests.faults.conftest import KEY, BlockingClient
from tests.providers.corpus.case import case
from tests.support.canned import CannedTransport, whole

MESSAGE = case("bedrock", "plain").answer


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"{}", to_json({**MESSAGE, "usage": {}}), to_json({**MESSAGE, "output": {"message": {}}})],
)
def test_a_malformed_answer_is_a_failure(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        bedrock.parse_completion(body)
    assert caught.value.code == "upstream_protocol_error"


def test_other_blocks_reach_the_client() -> None:
    cited = {"citationsContent": {"content": [{"text": "Here. "}], "citations": [{"title": "t"}]}}
    redacted = {"reasoningContent": {"redactedContent": "aGk="}}
    blocks = [redacted, cited, {"text": "There."}]
    body = {**MESSAGE, "output": {"message": {"role": "assistant", "content": blocks}}, "serviceTier": {"type": "flex"}}
    data = bedrock.parse_completion(to_json(body)).data
    message = data["choices"][0]["message"]
    assert (message["content"], message["content_parts"], data["service_tier"]) == ("Here. There.", [cited], "flex")
    assert message["thinking_blocks"] == [{"type": "redacted_thinking", "data": "aGk="}]


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_is_not_complete_is_no_success(reason: str) -> None:
    settings = Settings(
        providers={"up": {"api": "bedrock", "region": "eu-central-1", "api_key": "key"}},
        models={"m": {"targets": ["up/amazon.nova-2-lite-v1:0"]}},
        keys={"client": {"secret": KEY}},
        # Retries would wait.
        retries={"attempts": 1},
    )
    client = BlockingClient(settings, transport=CannedTransport(lambda _: whole({**MESSAGE, "stopReason": reason})))
    answer = client.post("m")
    assert (answer.status, answer.error["code"]) == (502, "upstream_incomplete")
    client.close()


@pytest.mark.parametrize(
    ("status", "name", "text", "became", "code", "param"),
    [
        (400, "ValidationException", "The text field is blank.", 400, None, None),
        (400, "ValidationException", "Input is too long for requested model.", 400, "context_length_exceeded", "messages"),
        (400, "ValidationException", "Value '2' at 'inferenceConfig.temperature' failed", 400, None, "temperature"),
        (400, "ValidationException", "messages.0.content.1.image: could not decode", 400, None, "messages"),
        (400, "ValidationException", "The provided model identifier is invalid.", 404, "model_not_found", None),
        (400, "ValidationException", "no document for arn:aws:bedrock:eu-central-1:123456789012:inference-profile/a", 400, None, None),
        (400, "SerializationException", "could not decode the image", 400, None, None),
        (400, "IncompleteSignatureException", "no", 502, "upstream_error", None),
        (403, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/a is not authorized", 502, "upstream_error", None),
        (403, "ExpiredTokenException", "expired", 502, "upstream_error", None),
        (404, "ResourceNotFoundException", "no such profile", 404, "model_not_found", None),
        (408, "ModelTimeoutException", "late", 504, "upstream_timeout", None),
        (424, "ModelErrorException", "failed", 502, "upstream_error", None),
        (429, "ThrottlingException", "Too many requests", 429, "upstream_rate_limited", None),
        (429, "ModelNotReadyException", "not ready", 429, "upstream_rate_limited", None),
        (500, "InternalServerException", "failed", 502, "upstream_error", None),
        (503, "ServiceUnavailableException", "busy", 503, "upstream_overloaded", None),
    ],
)
def test_errors(status: int, name: str, text: str, became: int, code: str | None, param: str | None) -> None:
    headers = (("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),)
    error = bedrock.parse_error(status, headers, to_json({"message": text}))
    assert (error.status, error.code, error.param, error.upstream_code) == (became, code, param, name)
    for shown in ("inferenceConfig", "messages.0", "arn:aws"):
        assert shown not in error.message


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[7]", b'{"message": 7}'])
def test_errors_of_who_stands_before_the_api(body: bytes) -> None:
    assert bedrock.parse_error(503, (), body).status == 502
