"""Budgets as clients meet them, and what the ledger says of every kind of answer (docs/promises.md, Money)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from completions_mw import Gateway
from completions_mw.core.ports import Balance
from tests.conformance.customer import Customer, CustomerMaker
from tests.conformance.given import ALERTS, INPUT_NANO, JSON, MAX_OUTPUT, OUTPUT_NANO, PROMPT_BOUND, PROMPT_TOKENS, chat_body
from tests.hosts.base import CHAT, Host, HostResponse, bearer
from tests.hosts.every import only_async
from tests.support import upstream_answers as answers
from tests.support.grammar import check_failed_stream, check_stream
from tests.support.logs import line
from tests.support.upstream import MockUpstream
from tests.support.upstream_scenarios import BAD_USAGE
from tests.support.waiting import wait_until

LARGE = {"usd": "10", "period": "total"}
COST = 3 * INPUT_NANO + 3 * OUTPUT_NANO
"""Of an answer by `ok`: $0.009."""
LEAST = PROMPT_BOUND * INPUT_NANO + OUTPUT_NANO
"""What is reserved for a request with `max_tokens=1`: $0.035."""
ESTIMATE = (PROMPT_TOKENS, 4)
"""Tokens of the prompt, as it was reserved, and of an answer of thirteen letters."""

json_and_stream = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


def price(prompt: int, completion: int) -> int:
    return prompt * INPUT_NANO + completion * OUTPUT_NANO


def check_charged(customer: Customer, prompt: int, completion: int, *, estimated: bool) -> None:
    """Check that the customer's only request was charged so many tokens, and that nothing of it is left."""
    row = customer.usage()
    assert (row.prompt_tokens, row.completion_tokens, row.estimated) == (prompt, completion, int(estimated))
    assert row.cost_nano == price(prompt, completion)
    assert customer.balance()[4:] == (row.cost_nano, 0)


def check_refused(response: HostResponse, message: str) -> None:
    assert response.status == 429
    error = {"message": message, "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}
    assert response.body == json.dumps({"error": error}, separators=(",", ":")).encode()
    assert response.headers["x-should-retry"] == "false"
    assert not {"retry-after", "retry-after-ms"} & response.headers.keys()


@json_and_stream
@pytest.mark.parametrize("model", ["ok", "usage-every-chunk"])
def test_reported_usage_is_charged(customer: CustomerMaker, upstream: MockUpstream, model: str, stream: bool) -> None:
    budgeted = customer(budget=LARGE)
    assert budgeted.post(model=model, stream=stream).status == 200
    check_charged(budgeted, 3, 3, estimated=False)


@json_and_stream
@pytest.mark.parametrize("model", ["nousage", *(f"badusage-{name}" for name in BAD_USAGE)])
def test_without_sane_usage_an_estimate_is_charged(customer: CustomerMaker, upstream: MockUpstream, model: str, stream: bool) -> None:
    """See docs/promises.md, Money."""
    budgeted = customer(budget=LARGE)
    response = budgeted.post(model=model, stream=stream)
    assert response.status == 200
    check_charged(budgeted, *ESTIMATE, estimated=True)


@json_and_stream
@pytest.mark.parametrize("model", ["status-500", "firsterror"])
def test_a_failure_before_the_answer_costs_nothing(customer: CustomerMaker, upstream: MockUpstream, model: str, stream: bool) -> None:
    budgeted = customer(budget=LARGE)
    assert budgeted.post(model=model, stream=stream).status == 502
    check_charged(budgeted, 0, 0, estimated=False)


@pytest.mark.parametrize("model", ["errorevent", "trunc"])
def test_a_stream_that_fails_costs_what_came_of_it(customer: CustomerMaker, upstream: MockUpstream, model: str) -> None:
    budgeted = customer(budget=LARGE)
    check_failed_stream(budgeted.post(model=model, stream=True).body)
    check_charged(budgeted, PROMPT_TOKENS, 2, estimated=True)


def test_a_stream_whose_client_leaves_costs_what_came_of_it(customer: CustomerMaker, upstream: MockUpstream) -> None:
    budgeted = customer(budget=LARGE)
    with budgeted.stream(model="stall-2") as answer:
        arrived = b""
        while b"one " not in arrived:
            arrived += next(answer)
    check_charged(budgeted, PROMPT_TOKENS, 1, estimated=True)


@only_async
@json_and_stream
def test_a_client_that_leaves_before_the_answer_pays_the_prompt(customer: CustomerMaker, upstream: MockUpstream, stream: bool) -> None:
    budgeted = customer(budget=LARGE)
    body = json.dumps(chat_body(model="ttfb", stream=stream)).encode()
    with budgeted.host.stream("POST", CHAT, (*bearer(budgeted.created.secret), *JSON), body):
        upstream.wait_for(lambda: upstream.active_requests == 1)
    upstream.wait_closed()
    # And the time in which nothing was visible, which is short here.
    check_charged(budgeted, PROMPT_TOKENS, budgeted.usage().completion_tokens, estimated=True)


def test_the_sums_are_the_upstreams(customer: CustomerMaker, upstream: MockUpstream) -> None:
    budgeted = customer(budget=LARGE)
    for words in range(1, 11):
        for stream in (False, True):
            messages = [{"role": "user", "content": " ".join(["word"] * words)}]
            assert budgeted.post(model="ok", stream=stream, messages=messages, n=1 + words % 3).status == 200
    reported = [answers.usage(received.json) for received in upstream.requests]
    prompt, completion = (sum(usage[name] for usage in reported) for name in ("prompt_tokens", "completion_tokens"))
    row = budgeted.usage(20)
    assert (row.prompt_tokens, row.completion_tokens, row.estimated) == (prompt, completion, 0)
    assert budgeted.balance()[4:] == (row.cost_nano, 0) == (price(prompt, completion), 0)


def test_what_a_stream_may_cost_is_held_until_it_ends(customer: CustomerMaker, upstream: MockUpstream) -> None:
    budgeted = customer(budget=LARGE)
    with budgeted.stream(model="stall-2", max_tokens=10) as answer:
        arrived = next(answer)
        assert budgeted.balance()[3:] == (10 * 10**9, 0, price(PROMPT_BOUND, 10))
        assert not budgeted.has_rows()
        upstream.release()
        check_stream(arrived + b"".join(answer))
    check_charged(budgeted, 3, 3, estimated=False)


@json_and_stream
def test_a_request_that_does_not_fit(customer: CustomerMaker, upstream: MockUpstream, stream: bool) -> None:
    budgeted = customer(budget={"usd": "0.05", "period": "total"})
    assert [budgeted.post(model="ok", max_tokens=1).status for _ in range(2)] == [200, 200]
    refused = budgeted.post(model="ok", max_tokens=1, stream=stream)
    spent = "Budget limit exceeded: this API key has spent $0.018 of its $0.05 total budget"
    check_refused(refused, f"{spent}, and this request may cost $0.035.")
    assert len(upstream.requests) == 2
    assert budgeted.usage(2).cost_nano == 2 * COST
    assert budgeted.balance()[4:] == (2 * COST, 0)


def test_a_request_that_does_not_fit_beside_those_that_run(customer: CustomerMaker, upstream: MockUpstream) -> None:
    budgeted = customer(budget={"usd": "0.06", "period": "total"})
    with budgeted.stream(model="stall-2", max_tokens=1) as answer:
        next(answer)
        spent = "Budget limit exceeded: this API key has spent $0.00 of its $0.06 total budget"
        reserved = "$0.035 is reserved for its other requests"
        check_refused(budgeted.post(model="ok", max_tokens=1), f"{spent}, {reserved}, and this request may cost $0.035.")
    assert budgeted.post(model="ok", max_tokens=1).status == 200


def next_month() -> datetime:
    return (datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)


@json_and_stream
def test_an_upstream_that_bills_more_than_was_reserved(
    customer: CustomerMaker, upstream: MockUpstream, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """It is charged and logged, and the next request is refused (docs/promises.md, Money)."""
    budgeted = customer(budget={"usd": "0.50", "period": "month"})
    assert budgeted.post(model="overbilled", max_tokens=1, stream=stream).status == 200
    check_charged(budgeted, 3, 1000, estimated=False)
    [found] = [line(record) for record in caplog.records if "over_reservation" in record.message]
    cost = price(3, 1000)
    assert (found["reserved_nano_usd"], found["cost_nano_usd"], found["target"]) == (LEAST, cost, "up/overbilled")
    resets = f"{next_month():%Y-%m-%dT%H:%M:%SZ}"
    message = f"Budget limit exceeded: this API key has spent $2.003 of its $0.50 monthly budget. It resets at {resets}."
    check_refused(budgeted.post(model="ok", max_tokens=1, stream=stream), message)
    check_charged(budgeted, 3, 1000, estimated=False)


def test_keys_of_a_tenant_share_its_budget(customer: CustomerMaker, upstream: MockUpstream, number: int, operator: Gateway) -> None:
    tenant = f"fund-{number}"
    one, other = customer(tenant=tenant, budget=LARGE), customer(tenant=tenant)
    while (response := one.post(model="ok", max_tokens=50)).status == 200:
        assert other.post(model="ok", max_tokens=1).status == 200
    spent = one.usage(4).cost_nano + other.usage(4).cost_nano
    assert operator.balances(tenant, "tenant") == [Balance("tenant", tenant, "total", 2 * 10**8, spent, 0)]
    assert one.balance()[4:] == (4 * COST, 0)
    assert spent == 8 * COST
    tenants_budget = "Budget limit exceeded: this tenant has spent $0.072 of its $0.20 total budget"
    check_refused(response, f"{tenants_budget}, and this request may cost $0.133.")


def test_the_apps_login_may_give_a_caller_a_budget(host: Host, operator: Gateway, upstream: MockUpstream, number: int) -> None:
    def ask(name: str, **fields: Any) -> HostResponse:
        return host.request("POST", CHAT, (*JSON, ("cookie", f"session={name}")), json.dumps(chat_body(model="ok", **fields)).encode())

    poor, frugal = f"trial-poor-{number}", f"trial-frugal-{number}"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    text = ask(poor).error["message"]
    beginning = "Budget limit exceeded: this caller has spent $0.00 of its $0.15 daily budget, and this request may cost $0.233."
    assert text.startswith(f"{beginning} It resets at ")
    assert ask(frugal, max_tokens=1).status == 200
    wait_until(lambda: operator.balances(frugal, "caller") == [Balance("caller", frugal, today, 15 * 10**7, COST, 0)])
    assert operator.balances(frugal, "key") == []


@pytest.fixture
def alerted(customer: CustomerMaker) -> Iterator[Customer]:
    yield customer(budget={"usd": "0.3", "period": "total"})
    ALERTS.clear()


def test_the_operator_is_told_of_each_threshold_once_and_of_the_first_refusal(alerted: Customer, upstream: MockUpstream) -> None:
    """The hook fails at one of them, and no request does (docs/promises.md, Hosts and servers)."""
    fields: dict[str, Any] = {"model": "ok", "max_tokens": 10, "messages": [{"role": "user", "content": "a b c d e f g h i j"}]}
    statuses = [alerted.post(**fields, stream=bool(number % 2)).status for number in range(12)]
    assert statuses == [200] * 9 + [429] * 3
    told = [(alert.scope, alert.period, alert.limit, alert.spent, alert.threshold) for alert in ALERTS if alert.id == alerted.id]
    assert told == [
        ("key", "total", Decimal("0.3"), spent, threshold)
        for spent, threshold in ((Decimal("0.15"), 50), (Decimal("0.24"), 80), (Decimal("0.27"), 90))
    ]
    assert [alert.refused for alert in ALERTS if alert.id == alerted.id] == [False, False, True]


@json_and_stream
def test_what_one_request_may_cost(customer: CustomerMaker, upstream: MockUpstream, stream: bool) -> None:
    careful = customer(max_cost="0.035")
    refused = careful.post(model="ok", max_tokens=2, stream=stream)
    message = "This request may cost $0.037, and a single request may cost $0.035 at most. "
    message += "Reduce the input or the maximum of output tokens."
    assert refused.status == 400
    assert refused.error == {"message": message, "type": "invalid_request_error", "param": None, "code": "max_cost_exceeded"}
    assert careful.post(model="ok", max_tokens=1, stream=stream).status == 200
    assert careful.usage().cost_nano == COST


@json_and_stream
def test_a_model_without_a_price_is_not_for_callers_with_a_budget(customer: CustomerMaker, upstream: MockUpstream, stream: bool) -> None:
    refused = customer(budget=LARGE).post(model="unpriced", stream=stream)
    message = "The model `unpriced` cannot be used because it has no price."
    assert refused.status == 403
    assert refused.error == {"message": message, "type": "invalid_request_error", "param": None, "code": "model_not_priced"}
    free = customer()
    assert free.post(model="unpriced", stream=stream).status == 200
    row = free.usage()
    assert (row.prompt_tokens, row.completion_tokens, row.cost_nano) == (3, 3, 0)


@json_and_stream
def test_a_budget_sets_the_maximum_that_a_request_does_not_set(customer: CustomerMaker, upstream: MockUpstream, stream: bool) -> None:
    budgeted, other = customer(budget=LARGE), customer()
    given: list[dict[str, int]] = [{}, {"max_tokens": 7}, {"max_completion_tokens": 7}]
    for fields in given:
        assert budgeted.post(model="ok", stream=stream, **fields).status == 200
    assert other.post(model="ok", stream=stream).status == 200
    sent = [{name: value for name, value in received.json.items() if name.startswith("max_")} for received in upstream.requests]
    assert sent == [{"max_tokens": MAX_OUTPUT}, {"max_tokens": 7}, {"max_tokens": 7}, {}]


def test_refused_requests_leave_no_rows(customer: CustomerMaker, upstream: MockUpstream) -> None:
    """See docs/promises.md, Bounds."""
    refused = customer(budget={"usd": "0.01", "period": "total"}, limits={"requests": "20/hour", "tokens": "1000/hour"}, max_cost="0.2")
    requests: dict[int, list[dict[str, Any]]] = {
        400: [{"model": "ok", "max_tokens": 90, "n": 5}, {"model": "m", "temperature": 7}],
        403: [{"model": "unpriced"}],
        404: [{"model": "nowhere"}],
        429: [{"model": "m", "max_tokens": 5000}, *[{"model": "ok", "max_tokens": 1}] * 30],
    }
    for status, bodies in requests.items():
        for body in bodies:
            assert refused.post(**body).status == status
    assert not refused.has_rows()
    assert refused.balance()[4:] == (0, 0)
    assert upstream.requests == []
