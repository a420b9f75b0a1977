"""What a request used is freed when it ends: in a process with many objects, the garbage collector looks at the oldest ones seldom."""

import gc
import json
from pathlib import Path
from typing import Any

import pytest

from completions_mw import Gateway, Settings
from completions_mw.http import Request
from tests.support.upstream import MockUpstream

SECRET = "sk-garbage-0123456789"
REQUESTS = {
    "whole": {"model": "ok"},
    "stream": {"model": "ok", "stream": True},
    "refused by the upstream": {"model": "status-400"},
    "upstream that is broken": {"model": "status-500"},
    "stream of a broken upstream": {"model": "status-500", "stream": True},
    "out of range": {"model": "ok", "temperature": 3},
    "tool result without a call": {"model": "ok", "messages": [{"role": "tool", "content": "1", "tool_call_id": "call_1"}]},
    "unknown model": {"model": "nowhere"},
}


def left_by(gateway: Gateway, fields: dict[str, Any]) -> list[str]:
    """Answer a request; return the types of ours of which objects are left that only the garbage collector frees."""
    body = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, **fields}).encode()
    headers = (("authorization", f"Bearer {SECRET}"), ("content-type", "application/json"), ("content-length", str(len(body))))
    gc.collect()
    gc.disable()
    try:
        response = gateway.handle(Request("POST", "/api/v1/chat/completions", headers, body))
        if not isinstance(response.body, bytes):
            assert b"".join(response.body).endswith(b"data: [DONE]\n\n")
        del response
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return sorted({type(one).__qualname__ for one in gc.garbage if type(one).__module__.startswith("completions_mw")})
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("fields", REQUESTS.values(), ids=list(REQUESTS))
def test_nothing_is_left_for_the_garbage_collector(fields: dict[str, Any], tmp_path: Path) -> None:
    with MockUpstream() as upstream:
        settings = {
            "providers": {"mock": {"api": "openai", "base_url": upstream.url, "api_key": "sk-upstream-0123456789"}},
            "models": {
                name: {"targets": [f"mock/{name}"], "prices": {"input": "1", "output": "1"}} for name in ("ok", "status-400", "status-500")
            },
            "keys": {"team": {"secret": SECRET, "budget": {"usd": "1", "period": "total"}, "limits": {"requests": "100/minute"}}},
            "stores": {"ledger": f"sqlite:///{tmp_path / 'completions.db'}"},
        }
        with Gateway(Settings.from_mapping(settings)) as gateway:
            left_by(gateway, fields)
            assert left_by(gateway, fields) == []
