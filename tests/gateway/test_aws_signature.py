"""Signatures of requests to Bedrock, through both gateways."""

import json
import logging
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials
from botocore.session import Session

from completions_mw import Settings
from completions_mw.backends import aws_signature
from completions_mw.errors import ConfigurationError
from completions_mw.http import UpstreamRequest
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.support.canned import CannedTransport, Reply, whole
from tests.support.logs import line

ACCESS_KEY, SECRET_KEY, TOKEN = "AKIACANARYKEY", "canary-secret-key", "canary-session-token"
ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3"
MODELS = ["anthropic.claude-3-haiku-20240307-v1:0", "eu.amazon.nova-2-lite-v1:0", ARN]
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi!"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8},
    "metrics": {"latencyMs": 1},
}
every_client = pytest.mark.parametrize("client", [BlockingClient, AsyncClient])
Client = Callable[..., BlockingClient | AsyncClient]


def settings(**provider: Any) -> Settings:
    return Settings(
        providers={"aws": {"api": "bedrock", "region": "eu-central-1", **provider}, "local": {"api": "echo"}},
        models={
            **{f"m{number}": {"targets": [f"aws/{model}"]} for number, model in enumerate(MODELS)},
            "rescued": {"targets": [f"aws/{MODELS[0]}", "local/m"]},
        },
        keys={"client": {"secret": KEY}},
    )


def answering(request: UpstreamRequest) -> Reply:
    return whole(ANSWER)


def quoting(request: UpstreamRequest) -> Reply:
    """Refuse a request, and quote its headers and what they were made with."""
    return whole({"message": f"I do not like {dict(request.headers)} and {SECRET_KEY}"}, status=400)


@pytest.fixture(autouse=True)
def no_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep botocore from the credentials of this machine."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


def signature_of(request: UpstreamRequest) -> str:
    """Return the signature that a request should have, made of what is sent."""
    sent = dict(request.headers)
    signed = AWSRequest("POST", request.url, {name: sent[name] for name in _signed_names(sent)}, request.body)
    signed.context["timestamp"] = sent["x-amz-date"]
    auth = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY, TOKEN), "bedrock", "eu-central-1")
    signature: str = auth.signature(auth.string_to_sign(signed, auth.canonical_request(signed)), signed)
    return signature


def _signed_names(sent: dict[str, str]) -> list[str]:
    names = sent["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    return [name for name in names if name != "host"]


@every_client
def test_every_request_is_signed(client: Client, credentials: None) -> None:
    transport = CannedTransport(answering)
    made = client(settings(), transport=transport)
    for number in range(len(MODELS)):
        assert made.post(f"m{number}").text == "Hi!"
    for request in transport.requests:
        headers = dict(request.headers)
        scope = f"Credential={ACCESS_KEY}/{headers['x-amz-date'][:8]}/eu-central-1/bedrock/aws4_request"
        assert headers["authorization"].startswith(f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=")
        assert headers["authorization"].endswith(f"Signature={signature_of(request)}")
        assert headers["x-amz-security-token"] == TOKEN
    made.close()


def test_the_requests_are_those_of_botocore(credentials: None) -> None:
    transport, theirs = CannedTransport(answering), []
    made = BlockingClient(settings(), transport=transport)

    def answer(request: Any, **_: Any) -> AWSResponse:
        theirs.append(request)
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, _Raw(json.dumps(ANSWER).encode()))

    boto = Session().create_client("bedrock-runtime", region_name="eu-central-1")
    boto.meta.events.register("before-send.bedrock-runtime", answer)
    for number, model in enumerate(MODELS):
        made.post(f"m{number}")
        read = boto.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "one two three"}]}])
        assert read["output"] == ANSWER["output"]
    assert [request.url for request in theirs] == [request.url for request in transport.requests]
    assert [json.loads(request.body) for request in theirs] == [json.loads(request.body) for request in transport.requests]
    made.close()


class _Raw(BytesIO):
    def stream(self, amount: int = 0, decode_content: bool = False) -> Any:
        yield self.read()


def test_an_async_gateway_signs_in_a_thread(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    find = aws_signature._find_credentials

    def noted(profile: str | None) -> Any:
        threads.append(threading.get_ident())
        return find(profile)

    monkeypatch.setattr(aws_signature, "_find_credentials", noted)
    made = AsyncClient(settings(), transport=CannedTransport(answering))
    assert [made.post("m0").status, made.post("m0").status] == [200, 200]
    assert len(threads) == 1
    assert threads != [threading.get_ident()]
    made.close()


def test_a_profile(tmp_path: Path) -> None:
    (tmp_path / "AWS_SHARED_CREDENTIALS_FILE").write_text("[team-a]\naws_access_key_id = AKIATEAMA\naws_secret_access_key = s3cret\n")
    transport = CannedTransport(answering)
    made = BlockingClient(settings(profile="team-a"), transport=transport)
    assert made.post("m0").status == 200
    assert "Credential=AKIATEAMA/" in dict(transport.requests[0].headers)["authorization"]
    made.close()


@every_client
def test_without_credentials_nothing_is_sent(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    transport = CannedTransport(answering)
    made = client(settings(), transport=transport)
    with caplog.at_level(logging.ERROR, "completions_mw"):
        answer = made.post("m0")
        assert (answer.status, answer.error["code"]) == (503, "upstream_credentials_error")
        assert made.post("rescued").text == "one two three"
    assert not transport.requests
    logged = line(caplog.records[0])
    assert (logged["event"], logged["error"], logged["provider"]) == ("credentials_failed", "LookupError", "aws")
    made.close()


@every_client
def test_credentials_are_in_no_error(client: Client, credentials: None) -> None:
    made = client(settings(), transport=CannedTransport(quoting))
    answer = made.post("m0")
    assert answer.status == 400
    assert not any(secret.encode() in answer.body for secret in (ACCESS_KEY, SECRET_KEY, TOKEN))
    made.close()


def test_an_api_key_needs_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_signature, "find_spec", lambda _: None)
    transport = CannedTransport(answering)
    made = BlockingClient(settings(api_key="canary-key"), transport=transport)
    assert made.post("m0").status == 200
    assert dict(transport.requests[0].headers)["authorization"] == "Bearer canary-key"
    made.close()


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_signature, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"providers\.aws: .*completions-mw\[bedrock\]"):
        BlockingClient(settings())


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ({"region": ""}, "providers.aws.region: should be an AWS region"),
        ({"region": "Frankfurt"}, "providers.aws.region: should be an AWS region such as `eu-central-1`"),
        ({"profile": "a", "api_key": "b" * 8}, "providers.aws.profile: is not used by a provider with an `api_key`"),
        ({"headers": {"x-amz-date": "now"}}, "providers.aws.headers.x-amz-date: is a header that the gateway sets itself"),
    ],
)
def test_a_wrong_setting_is_named(provider: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(**provider)
    assert words in str(caught.value)


@pytest.mark.parametrize(("name", "region"), [("AWS_REGION", "us-east-2"), ("AWS_DEFAULT_REGION", "ap-south-1")])
def test_key_and_region_of_the_environment_need_no_table(name: str, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "canary-key")
    monkeypatch.setenv(name, region)
    transport = CannedTransport(answering)
    made = BlockingClient(
        Settings(models={"m": {"targets": [f"bedrock/{MODELS[0]}"]}}, keys={"client": {"secret": KEY}}), transport=transport
    )
    assert made.post("m").text == "Hi!"
    [request] = transport.requests
    assert request.url.startswith(f"https://bedrock-runtime.{region}.amazonaws.com/model/")
    assert dict(request.headers)["authorization"] == "Bearer canary-key"
    made.close()


@pytest.mark.parametrize("region", ["", "evil.test/"])
def test_a_region_that_is_none_is_named(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    with pytest.raises(ConfigurationError, match=r"^providers\.aws\.region: should be an AWS region .*AWS_REGION"):
        Settings(providers={"aws": {"api": "bedrock"}})
