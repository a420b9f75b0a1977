"""A dry run asks nobody and charges nothing, in every host (docs/dry-runs.md)."""

import json

from tests.conformance.given import JSON, KEY, chat_body
from tests.hosts.base import CHAT, Host, bearer
from tests.support.upstream import MockUpstream


def test_a_dry_run(host: Host, upstream: MockUpstream) -> None:
    headers = (*bearer(KEY), *JSON, ("x-dry-run", "1"))
    response = host.request("POST", CHAT, headers, json.dumps(chat_body(model="ok", stream=True)).encode())
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    told = response.json()
    assert (told["object"], told["targets"]) == ("dry_run", [{"target": "up/ok", "refusal": None, "dropped": []}])
    assert not upstream.requests
