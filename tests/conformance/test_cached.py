"""Cached answers in every host: their headers, both forms of one answer, and nobody else's (docs/caching.md)."""

import json
from typing import Any

import pytest

from tests.conformance.customer import Customer, CustomerMaker
from tests.conformance.given import INPUT_NANO, OUTPUT_NANO, chat_body, post
from tests.hosts.base import HostResponse
from tests.support.exchange import HeaderPairs
from tests.support.grammar import check_stream
from tests.support.upstream import MockUpstream

TEXT = "one two three"
COST = 3 * INPUT_NANO + 3 * OUTPUT_NANO
"""Nano-dollars of its answer by `ok`."""


def ask(customer: Customer, *headers: tuple[str, str], **fields: Any) -> HostResponse:
    return post(customer.host, json.dumps(chat_body(model="cached", **fields)).encode(), headers, customer.created.secret)


@pytest.mark.parametrize("is_streamed_first", [False, True], ids=["json-first", "stream-first"])
def test_one_answer_is_given_in_both_forms(customer: CustomerMaker, upstream: MockUpstream, is_streamed_first: bool) -> None:
    someone = customer(budget={"usd": "10", "period": "total"})
    answers = {stream: ask(someone, stream=stream) for stream in (is_streamed_first, not is_streamed_first)}
    assert [answer.headers["x-cache"] for answer in answers.values()] == ["miss", "hit"]
    assert answers[not is_streamed_first].headers["age"].isdigit()
    whole, streamed = answers[False].json(), check_stream(answers[True].body)
    assert whole["choices"][0]["message"]["content"] == streamed.texts[0] == TEXT
    assert {chunk["id"] for chunk in streamed.chunks} == {whole["id"]}
    assert len({answer.headers["x-request-id"] for answer in answers.values()}) == 2
    assert len(upstream.requests) == 1
    row = someone.usage(2)
    assert (row.from_cache, row.cost_nano, someone.balance().spent) == (1, COST, COST)


CONTROLS: dict[str, tuple[HeaderPairs, list[tuple[int, str]]]] = {
    "no-store": ((("cache-control", "no-store"),), [(200, "bypass"), (200, "bypass")]),
    "no-cache": ((("cache-control", "no-cache"),), [(200, "miss"), (200, "miss")]),
    "only-if-cached": ((("cache-control", "only-if-cached"),), [(504, "miss"), (504, "miss")]),
}


@pytest.mark.parametrize(("headers", "expected"), CONTROLS.values(), ids=CONTROLS)
def test_a_client_has_its_say(
    customer: CustomerMaker, upstream: MockUpstream, headers: HeaderPairs, expected: list[tuple[int, str]]
) -> None:
    someone = customer()
    answers = [ask(someone, *headers) for _ in range(2)]
    assert [(answer.status, answer.headers["x-cache"]) for answer in answers] == expected


def test_nobody_gets_what_another_one_asked(customer: CustomerMaker, upstream: MockUpstream) -> None:
    """FC-61."""
    answers = [ask(someone) for someone in (customer(), customer())]
    assert [answer.headers["x-cache"] for answer in answers] == ["miss", "miss"]
    assert len(upstream.requests) == 2


def test_members_of_a_tenant_share(customer: CustomerMaker, upstream: MockUpstream, number: int) -> None:
    answers = [ask(customer(tenant=f"club-{number}")) for _ in range(2)]
    assert [answer.headers["x-cache"] for answer in answers] == ["miss", "hit"]
    assert answers[0].json() == answers[1].json()
