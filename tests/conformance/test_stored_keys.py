"""Keys of the ledger's database, made by one process and used in another: who gets in, and as whom (docs/promises.md, Secrets)."""

import json
from typing import Any

import pytest

from completions_mw import Gateway, NewKey
from tests.conformance.customer import Customer, CustomerMaker
from tests.conformance.given import JSON, chat_body
from tests.hosts.base import CHAT, MODELS, Host, HostResponse, bearer


def ask(host: Host, secret: str) -> HostResponse:
    return host.request("POST", CHAT, (*bearer(secret), *JSON), json.dumps(chat_body()).encode())


def check_unknown(response: HostResponse, secret: str) -> None:
    message = f"Incorrect API key provided: {secret[:5]}***{secret[-2:]}."
    assert response.status == 401
    assert response.error == {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}


def test_a_new_key_is_good_at_once(customer: CustomerMaker) -> None:
    new = customer()
    assert new.created.secret.startswith("sk-cmw-")
    assert new.post().status == 200
    assert new.post(stream=True).status == 200
    assert new.usage(2).group == new.id


def test_a_key_is_whole_or_none(customer: CustomerMaker) -> None:
    new = customer()
    secret = new.created.secret
    wrong = (secret[:-1] + ("a" if secret[-1] != "a" else "b"), secret[:-1], secret + "a", secret.swapcase(), new.id)
    for each in wrong:
        assert ask(new.host, each).status == 401
    assert ask(new.host, secret).status == 200


def test_a_key_sees_the_models_on_its_list_alone(customer: CustomerMaker) -> None:
    narrow = customer(models=["m", "gone-since"])
    listed = narrow.host.request("GET", MODELS, bearer(narrow.created.secret)).json()["data"]
    assert [card["id"] for card in listed] == ["m"]
    assert narrow.post().status == 200
    refused = narrow.post(model="org/model")
    assert (refused.status, refused.error["code"]) == (404, "model_not_found")


def test_a_disabled_key_is_nobodys(customer: CustomerMaker, operator: Gateway) -> None:
    """Without a cache at once; how long a cache believes it is a matter of the cache (docs/promises.md, Secrets)."""
    new = customer()
    assert new.post().status == 200
    operator.keys.disable(new.id)
    check_unknown(new.post(), new.created.secret)
    operator.keys.enable(new.id)
    assert new.post().status == 200


def test_an_expired_key_is_nobodys(customer: CustomerMaker) -> None:
    expired = customer(expires_at="2020-01-01T00:00:00Z")
    check_unknown(expired.post(), expired.created.secret)


@pytest.mark.parametrize(("overlap", "status"), [(3600, 200), (0, 401)], ids=["overlap", "at-once"])
def test_a_rotated_key_is_the_same_caller(customer: CustomerMaker, operator: Gateway, overlap: float, status: int) -> None:
    old = customer(limits={"requests": "3/hour"})
    assert old.post().headers["x-ratelimit-remaining-requests"] == "2"
    new = Customer(old.host, operator, operator.keys.rotate(old.id, overlap))
    assert new.id == old.id
    assert new.post().headers["x-ratelimit-remaining-requests"] == "1"
    assert old.post().status == status


def test_changed_limits_hold_for_the_next_request(customer: CustomerMaker, operator: Gateway) -> None:
    new = customer(limits={"requests": "1/hour"})
    assert [new.post().status for _ in range(2)] == [200, 429]
    operator.keys.update(new.id, limits={"requests": "5/hour"})
    assert new.post().headers["x-ratelimit-remaining-requests"] == "3"


def test_an_imported_key_keeps_its_secret(host: Host, operator: Gateway, number: int) -> None:
    secret = f"key-of-another-gateway-{number}"
    key = operator.keys.import_key("imported", secret=secret, limits={"requests": "1/hour"})
    customer = Customer(host, operator, NewKey(key, secret))
    assert [customer.post().status for _ in range(2)] == [200, 429]


TENANTS = [
    *("acme", "acme/", "acme:requests", "acme:requests:3600", "{acme}", "acme*", "ac*", "*"),
    *("acme\n", "acme%2F", "tenant:acme", "ACME", "ácme"),
]


def test_names_with_any_characters_are_apart(customer: CustomerMaker, operator: Gateway, number: int) -> None:
    """One request each, and each is its own (docs/promises.md, Limits)."""
    rules: dict[str, Any] = {"limits": {"requests": "1/hour"}, "budget": {"usd": "1", "period": "total"}}
    customers = {tenant: customer(tenant=f"{number} {tenant}", **rules) for tenant in TENANTS}
    assert {tenant: each.post().status for tenant, each in customers.items()} == dict.fromkeys(TENANTS, 200)
    assert {tenant: each.post().status for tenant, each in customers.items()} == dict.fromkeys(TENANTS, 429)
    for tenant, each in customers.items():
        assert each.usage().group == each.id
        assert [row.requests for row in operator.usage("tenant", tenant=f"{number} {tenant}")] == [1]
