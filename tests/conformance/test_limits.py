"""Rate limits as clients meet them: headers of every answer, refusals to the byte, and what is counted (docs/contract.md)."""

import json
import re
from collections.abc import Mapping

import pytest

from tests.conformance.customer import Customer, CustomerMaker
from tests.conformance.given import JSON, PROMPT_TOKENS, chat_body
from tests.hosts.base import CHAT, MODELS, Host, HostResponse, bearer
from tests.hosts.every import only_async
from tests.support.grammar import check_failed_stream, check_stream
from tests.support.upstream import MockUpstream

USED = 6
"""Tokens of an answer: three words, said twice."""
TOO_LONG = {"retry-after": "60", "retry-after-ms": "60000", "x-should-retry": "false"}
"""What is said of a wait of most of an hour, which no SDK should sit out."""
RETRY = ("retry-after", "retry-after-ms", "x-should-retry")

json_and_stream = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


def limit_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}


def retry_headers(response: HostResponse) -> dict[str, str]:
    return {name: response.headers[name] for name in RETRY if name in response.headers}


def check_body(response: HostResponse, kind: str, message: str) -> None:
    assert response.status == 429
    assert response.body == json.dumps(
        {"error": {"message": message, "type": kind, "param": None, "code": "rate_limit_exceeded"}}, separators=(",", ":")
    ).encode("utf-8")


def check_served(customer: Customer, **fields: object) -> HostResponse:
    response = customer.post(**fields)
    assert response.status == 200, response.body
    return response


@json_and_stream
def test_an_answer_says_what_is_left(customer: CustomerMaker, stream: bool) -> None:
    limited = customer(limits={"requests": "60/minute", "tokens": "150000/minute"})
    first = check_served(limited, stream=stream, max_tokens=50)
    assert limit_headers(first.headers) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1m0s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": str(150_000 - PROMPT_TOKENS - 50),
        "x-ratelimit-reset-tokens": "1m0s",
    }
    second = limit_headers(check_served(limited, stream=stream, max_tokens=50).headers)
    assert second["x-ratelimit-remaining-requests"] == "58"
    assert second["x-ratelimit-remaining-tokens"] == str(150_000 - USED - PROMPT_TOKENS - 50)
    assert re.fullmatch(r"1m0s|\d+(\.\d+)?s|\d+ms", second["x-ratelimit-reset-requests"])


def test_of_several_limits_the_scarcest_is_shown(customer: CustomerMaker) -> None:
    limited = customer(limits={"requests": ["1000/minute", "10/hour", "100000/day"]})
    assert limit_headers(check_served(limited).headers) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": "1h0m0s",
    }


def test_without_limits_there_are_no_such_headers(customer: CustomerMaker) -> None:
    assert limit_headers(check_served(customer()).headers) == {}


@json_and_stream
def test_too_many_requests(customer: CustomerMaker, stream: bool) -> None:
    limited = customer(limits={"requests": "1/hour"})
    check_served(limited)
    refused = limited.post(stream=stream)
    wait = refused.headers["x-ratelimit-reset-requests"]
    assert re.fullmatch(r"1h0m0s|59m\d+(\.\d+)?s", wait)
    message = f"Rate limit reached for m in organization {limited.id} on requests per hour (RPH): Limit 1, Used 1, Requested 1. "
    check_body(refused, "requests", f"{message}Please try again in {wait}.")
    assert retry_headers(refused) == TOO_LONG
    assert limit_headers(refused.headers) == {
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": wait,
    }


def test_the_advice_is_the_wait(customer: CustomerMaker) -> None:
    limited = customer(limits={"requests": "1 per 50 second"})
    check_served(limited)
    refused = limited.post()
    wait_ms = int(refused.headers["retry-after-ms"])
    assert 0 < wait_ms <= 50_000
    assert retry_headers(refused) == {"retry-after": str(-(-wait_ms // 1000)), "retry-after-ms": str(wait_ms)}
    beginning = f"Rate limit reached for m in organization {limited.id} on requests per 50 seconds: Limit 1, Used 1, Requested 1. "
    assert refused.error["message"].startswith(beginning)


@json_and_stream
def test_too_many_tokens(customer: CustomerMaker, stream: bool) -> None:
    """What the first request reserved and did not use has come back; the refusal of the second costs it no request (docs/promises.md)."""
    limited = customer(limits={"requests": "3/hour", "tokens": "100/hour"})
    check_served(limited, stream=stream, max_tokens=80)
    refused = limited.post(stream=stream, max_tokens=90)
    asked = PROMPT_TOKENS + 90
    wait = refused.headers["x-ratelimit-reset-tokens"]
    message = f"Rate limit reached for m in organization {limited.id} on tokens per hour (TPH): Limit 100, Used {USED}, Requested {asked}. "
    check_body(refused, "tokens", f"{message}Please try again in {wait}.")
    assert retry_headers(refused) == TOO_LONG
    assert refused.headers["x-ratelimit-remaining-requests"] == "2"
    assert refused.headers["x-ratelimit-remaining-tokens"] == str(100 - USED)
    remaining = [check_served(limited, max_tokens=5).headers["x-ratelimit-remaining-requests"] for _ in range(2)]
    assert remaining == ["1", "0"]
    assert limited.post(max_tokens=5).error["type"] == "requests"


@json_and_stream
def test_more_than_the_whole_limit(customer: CustomerMaker, stream: bool) -> None:
    """No retry helps, and nothing is charged (docs/promises.md, Limits)."""
    limited = customer(limits={"requests": "1/hour", "tokens": "100/hour"})
    refused = limited.post(stream=stream, max_tokens=1000)
    message = f"Request too large for m in organization {limited.id} on tokens per hour (TPH): "
    message += f"Limit 100, Requested {PROMPT_TOKENS + 1000}. The input or output tokens must be reduced in order to run successfully."
    check_body(refused, "tokens", message)
    assert retry_headers(refused) == {"x-should-retry": "false"}
    assert limit_headers(refused.headers) == {
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "0s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "100",
        "x-ratelimit-reset-tokens": "0s",
    }
    check_served(limited, stream=stream, max_tokens=50)


def test_a_maximum_that_the_request_does_not_set_is_no_reason_to_refuse_it_for_ever(customer: CustomerMaker) -> None:
    limited = customer(limits={"tokens": "100/hour"})
    assert check_served(limited).headers["x-ratelimit-remaining-tokens"] == "0"
    assert check_served(limited, max_tokens=1).headers["x-ratelimit-remaining-tokens"] == str(100 - USED - PROMPT_TOKENS - 1)


@pytest.mark.parametrize("model", ["status-500", "firsterror"])
def test_tokens_of_a_request_that_failed_come_back(customer: CustomerMaker, upstream: MockUpstream, model: str) -> None:
    limited = customer(limits={"requests": "3/hour", "tokens": "1000/hour"})
    assert limited.post(model=model, max_tokens=900, stream=model == "firsterror").status == 502
    headers = check_served(limited, model="ok", max_tokens=900).headers
    assert headers["x-ratelimit-remaining-requests"] == "1"
    assert headers["x-ratelimit-remaining-tokens"] == str(1000 - PROMPT_TOKENS - 900)


def check_no_place(response: HostResponse, customer: Customer, model: str) -> None:
    message = f"Rate limit reached for {model} in organization {customer.id} on concurrent requests: Limit 1, Used 1, Requested 1. "
    check_body(response, "requests", f"{message}Please try again in 1s.")
    assert retry_headers(response) == {"retry-after": "1", "retry-after-ms": "1000"}


def test_a_stream_holds_its_place_to_its_end(customer: CustomerMaker, upstream: MockUpstream) -> None:
    limited = customer(limits={"requests": "100/hour", "concurrency": 1})
    with limited.stream(model="stall-2") as answer:
        arrived = next(answer)
        refused = limited.post(model="ok")
        check_no_place(refused, limited, "ok")
        assert refused.headers["x-ratelimit-remaining-requests"] == "99"
        upstream.release()
        check_stream(arrived + b"".join(answer))
    check_served(limited, model="ok")


def test_a_stream_gives_its_place_back_when_its_client_leaves(customer: CustomerMaker, upstream: MockUpstream) -> None:
    limited = customer(limits={"concurrency": 1})
    for _ in range(3):
        with limited.stream(model="stall-2") as answer:
            next(answer)
            check_no_place(limited.post(), limited, "m")
    check_served(limited)


def test_a_stream_gives_its_place_back_when_it_fails(customer: CustomerMaker, upstream: MockUpstream) -> None:
    limited = customer(limits={"concurrency": 1})
    for model, code in (("errorevent", "overloaded"), ("trunc", "upstream_incomplete")):
        assert check_failed_stream(limited.post(model=model, stream=True).body)["code"] == code
    check_served(limited)


@only_async
def test_a_request_whose_client_leaves_gives_its_place_back(customer: CustomerMaker, upstream: MockUpstream) -> None:
    limited = customer(limits={"concurrency": 1})
    with limited.host.stream("POST", CHAT, (*bearer(limited.created.secret), *JSON), json.dumps(chat_body(model="ttfb")).encode()):
        upstream.wait_for(lambda: upstream.active_requests == 1)
        check_no_place(limited.post(), limited, "m")
    check_served(limited)


def test_keys_of_a_tenant_share_its_limits(customer: CustomerMaker, number: int) -> None:
    one, other = (customer(tenant=f"crew-{number}", limits={"tokens": "50000/minute"}) for _ in range(2))
    assert limit_headers(check_served(one, max_tokens=100).headers) == {
        "x-ratelimit-limit-tokens": "50000",
        "x-ratelimit-remaining-tokens": str(50_000 - PROMPT_TOKENS - 100),
        "x-ratelimit-reset-tokens": "1m0s",
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "1h0m0s",
        "x-ratelimit-limit-project-tokens": "1000",
        "x-ratelimit-remaining-project-tokens": str(1000 - PROMPT_TOKENS - 100),
        "x-ratelimit-reset-project-tokens": "1h0m0s",
    }
    headers = check_served(other, max_tokens=100).headers
    assert headers["x-ratelimit-remaining-project-tokens"] == str(1000 - USED - PROMPT_TOKENS - 100)
    assert headers["x-ratelimit-remaining-tokens"] == str(50_000 - PROMPT_TOKENS - 100)
    refused = other.post(max_tokens=990)
    limit = f"tokens per hour (TPH): Limit 1000, Used {2 * USED}, Requested {PROMPT_TOKENS + 990}"
    assert refused.error["message"].startswith(f"Rate limit reached for m in organization crew-{number} on {limit}. Please")
    check_served(one, max_tokens=1)
    for late in (one, other):
        refused = late.post(max_tokens=1)
        limit = f"crew-{number} on requests per hour (RPH): Limit 3, Used 3, Requested 1"
        assert refused.error["message"].startswith(f"Rate limit reached for m in organization {limit}. Please")
        assert refused.error["message"].endswith(" The limit is shared by the whole organization.")


def test_all_callers_share_the_limits_of_a_model(customer: CustomerMaker) -> None:
    one, other, third = customer(), customer(), customer(limits={"requests": "5/hour"})
    remaining = [check_served(each, model="rare").headers["x-ratelimit-remaining-requests"] for each in (one, other)]
    assert remaining == ["1", "0"]
    refused = third.post(model="rare")
    assert limit_headers(refused.headers)["x-ratelimit-limit-requests"] == "2"
    assert refused.error["message"].endswith(" The limit is shared by all who use the model.")
    assert check_served(third).headers["x-ratelimit-remaining-requests"] == "4"


def ask_as(host: Host, name: str) -> HostResponse:
    return host.request("POST", CHAT, (*JSON, ("cookie", f"session={name}")), json.dumps(chat_body()).encode())


def test_callers_of_the_apps_login_have_the_limits_of_the_settings(host: Host) -> None:
    for name in ("carol", "dave"):
        headers = limit_headers(ask_as(host, name).headers)
        assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("5000", "4999")


def test_the_apps_login_may_limit_a_caller_itself(host: Host) -> None:
    assert ask_as(host, "trial-limits").status == 200
    refused = ask_as(host, "trial-limits")
    limit = "trial-limits on requests per hour (RPH): Limit 1, Used 1, Requested 1"
    assert refused.error["message"].startswith(f"Rate limit reached for m in organization {limit}. Please try again in")


def test_a_list_of_models_is_no_request(customer: CustomerMaker) -> None:
    limited = customer(limits={"requests": "1/hour"})
    for path in (MODELS, f"{MODELS}/m", MODELS):
        response = limited.host.request("GET", path, bearer(limited.created.secret))
        assert (response.status, limit_headers(response.headers)) == (200, {})
    check_served(limited)
    assert limited.host.request("GET", MODELS, bearer(limited.created.secret)).status == 200


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"model": "nowhere", "messages": [{"role": "user"}]}'], ids=["json", "schema", "model"])
def test_what_is_no_valid_request_is_not_counted(customer: CustomerMaker, body: bytes) -> None:
    limited = customer(limits={"requests": "1/hour"})
    response = limited.host.request("POST", CHAT, (*bearer(limited.created.secret), *JSON), body)
    assert (response.status, limit_headers(response.headers)) in ((400, {}), (404, {}))
    check_served(limited)
