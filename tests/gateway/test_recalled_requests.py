"""A body that is known is treated as if it were read again: the same answers, refusals, headers, rows and log lines (docs/caching.md)."""

import contextlib
import json
import logging
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from completions_mw import Gateway, Request, Settings
from completions_mw.core.inbound import openai_dialect
from completions_mw.core.telemetry.log import access_log
from completions_mw.core.validation.json_body import parse_json_body
from tests.hosts.base import CHAT, bearer
from tests.support.cached_gateways import HELLO, HeldModel
from tests.support.logs import line

EMBEDDINGS = CHAT.replace("chat/completions", "embeddings")
STEPS = 2000
SECRETS = {name: f"sk-{name}-0123456789" for name in ("free", "ada", "eve", "few", "poor", "cheap", "dear", "slow", "gone", "late")}
OFTEN = [SECRETS[name] for name in ("free", "ada", "eve", "dear")]
RULES: dict[str, dict[str, Any]] = {
    "free": {},
    "ada": {"tenant": "acme"},
    "eve": {"tenant": "acme", "models": ["m", "vectors"]},
    "few": {"limits": {"requests": "9/day"}},
    "slow": {"tenant": "acme", "limits": {"tokens": "600/day", "concurrency": 1}},
    "poor": {"budget": {"usd": "0.5", "period": "total"}},
    "cheap": {"tenant": "acme", "max_cost": "0.05"},
    "dear": {"tenant": "dear", "budget": {"usd": "1000", "period": "month"}},
    "gone": {"disabled": True},
    "late": {"expires_at": "2020-01-01T00:00:00Z"},
}
PRICES = {"prices": {"input": "1000", "output": "2000"}, "max_output_tokens": 100}
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
SETTINGS: dict[str, Any] = {
    "cache": {"enabled": True, "when": "always"},
    "providers": {
        "local": {"api": "echo"},
        # Nobody listens there, and it does not take `seed`: what it would not get is told of each answer that may be its own.
        "gone": {"api": "anthropic", "base_url": "http://127.0.0.1:9", "api_key": "x" * 20, "unsupported_params": "drop"},
    },
    "models": {
        "m": {"cache": {"enabled": True}, **PRICES},
        "charged": {"cache": {"enabled": True, "charge_hits": True, "scope": "key"}, **PRICES},
        "same": {"cache": {"enabled": True, "when": "deterministic", "scope": "global"}},
        "asked": {"cache": {"enabled": True, "when": "asked"}},
        "plain": {},
        "echo": {"targets": ["local/echo", "gone/claude"], "forward_params": ["vendors_own"], "prices": {"input": "0", "output": "0"}},
        "vectors": {"kind": "embeddings", "targets": ["local/echo"]},
    },
    "keys": {name: {"secret": secret, **RULES[name]} for name, secret in SECRETS.items()},
    "stores": {"ledger": "memory://", "ledger_timeout": 20},
    "unknown_params": "ignore",
}
UNCOUNTED = SETTINGS | {"stores": {}, "keys": {name: {**key, "budget": None} for name, key in SETTINGS["keys"].items()}}
BODIES: list[tuple[str, dict[str, Any]]] = [
    *((CHAT, {"model": name, "messages": HELLO}) for name in ("m", "charged", "same", "asked", "plain", "echo", "vectors", "none")),
    *(
        (CHAT, {"model": name, "messages": HELLO, "stream": True, "seed": 1, "user": "u"})
        for name in ("m", "charged", "same", "asked", "echo")
    ),
    (CHAT, {"model": "m", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 50}),
    (CHAT, {"model": "m", "messages": HELLO, "temperature": 0, "min_p": 0.5, "metadata": {"a": "b"}, "max_completion_tokens": 20}),
    (CHAT, {"model": "echo", "messages": HELLO, "vendors_own": [1, 1.0, True], "unheard_of": {}, "n": 2}),
    (CHAT, {"model": "m", "messages": [], "temperature": 9}),
    (EMBEDDINGS, {"model": "vectors", "input": ["a", "b"], "encoding_format": "base64"}),
    (EMBEDDINGS, {"model": "m", "input": "a"}),
    (EMBEDDINGS, {"model": "m", "messages": HELLO}),
]
CONTROLS = [None, None, None, "no-cache", "no-store", "max-age=60", "max-age=0", "only-if-cached", "only-if-cached, no-cache", "max-age=x,"]
OTHERS: list[tuple[tuple[str, str], ...]] = [
    *[()] * 12,
    (("content-type", "text/plain"),),
    (("content-encoding", "gzip"),),
    (("x-dry-run", "1"),),
    (("x-request-timeout-ms", "60000"),),
    (("x-request-timeout-ms", "soon"),),
    (("x-client-request-id", "mine"),),
]
CHANGING = {
    "content-length",
    "x-request-id",
    "openai-processing-ms",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "retry-after",
    "retry-after-ms",
}
"""Headers that depend on chance or time, as texts of refusals do."""
_ids = re.compile(rb'"(id|created)": ?("[^"]*"|[0-9]+)|"request_id":"[^"]*"|[0-9.]+ ?(ms|s)\b')


class Asked:
    """A gateway, and what it answers and writes down.

    Args:
        reads: whether each body is spelled in another way, so that none is known and all are read.
        has_ledger: whether every request is counted; else only those of keys and models with rules are.
    """

    def __init__(self, *, reads: bool, has_ledger: bool) -> None:
        self._reads = reads
        self._has_ledger = has_ledger
        self._count = 0
        functions = {name: HeldModel(usage=USAGE) for name in ("m", "charged", "same", "asked", "plain")}
        self.models = functions
        self.gateway = Gateway(Settings.from_mapping(SETTINGS if has_ledger else UNCOUNTED), models=functions)

    def send(self, path: str, key: str, headers: tuple[tuple[str, str], ...], fields: dict[str, Any]) -> tuple[Any, ...]:
        """Send a request; return what can be known of its answer before it is given."""
        self._count += 1
        body = json.dumps(fields).encode() + b" " * (self._count if self._reads else 0)
        response = self.gateway.handle(Request("POST", path, (*bearer(key), *headers), body))
        if isinstance(response.body, bytes):
            content = response.body
        else:
            with contextlib.closing(response.body) as stream:
                content = b"".join(stream)
        return response.status, [pair for pair in response.headers if pair[0] not in CHANGING], _ids.sub(b"", content)

    def books(self) -> tuple[Any, ...]:
        """Return what is written down."""
        stats = self.gateway.cache.stats()[:4]
        if not self._has_ledger:
            return stats
        balances = [self.gateway.balances(name, "key") for name in ("poor", "dear")]
        moved = [[(one.spent, one.reserved, one.limit) for one in found] for found in balances]
        return self.gateway.usage("key"), self.gateway.usage("model"), moved, stats


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The lines of the access log."""
    found: list[dict[str, Any]] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append({name: value for name, value in line(record).items() if name not in {"request_id", "ms"}})

    handler, level = Collect(), access_log.level
    access_log.addHandler(handler)
    access_log.setLevel(logging.INFO)
    yield found
    access_log.removeHandler(handler)
    access_log.setLevel(level)


@pytest.mark.parametrize("has_ledger", [True, False])
def test_known_bodies_and_read_ones_are_treated_alike(
    lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, has_ledger: bool
) -> None:
    known, read = (Asked(reads=reads, has_ledger=has_ledger) for reads in (False, True))
    parsed: Counter[bool] = Counter()
    rng = random.Random(9)

    def parse(body: bytes, bounds: Any) -> dict[str, Any]:
        parsed[body.endswith(b" ")] += 1
        return parse_json_body(body, bounds)

    monkeypatch.setattr(openai_dialect, "parse_json_body", parse)
    with known.gateway, read.gateway:
        for _ in range(STEPS):
            path, fields = rng.choice(BODIES)
            control, others = rng.choice(CONTROLS), rng.choice(OTHERS)
            key = rng.choice(OFTEN if rng.random() < 0.7 else [*SECRETS.values(), "sk-nobody-0123456789"])
            headers = (("content-type", "application/json"), *(() if control is None else (("cache-control", control),)), *others)
            answers = [asked.send(path, key, headers, fields) for asked in (known, read)]
            assert answers[0] == answers[1], (path, key, headers, fields)
            assert lines[-2] == lines[-1]
            if rng.random() < 0.02:
                which: dict[str, Any] = rng.choice([{}, {"tenant": "acme"}, {"key": "few"}, {"model": "m"}])
                assert len({asked.gateway.cache.purge(**which) for asked in (known, read)}) == 1
        assert known.books() == read.books()
        assert [model.calls for model in known.models.values()] == [model.calls for model in read.models.values()]
    assert parsed[True] - parsed[False] >= 60, "so many bodies were known"


def test_what_is_free_to_one_caller_is_refused_to_others_of_its_tenant() -> None:
    rules: dict[str, dict[str, Any]] = {"ada": {}, "eve": {"models": ["other"]}, "few": {"limits": {"requests": "1/day"}}}
    keys = {name: {"secret": SECRETS[name], "tenant": "acme", **rule} for name, rule in rules.items()}
    settings = {"cache": {"enabled": True, "when": "always"}, "models": {name: {"cache": {"enabled": True}} for name in ("m", "other")}}
    body = json.dumps({"model": "m", "messages": HELLO}).encode()
    models = {name: HeldModel(usage=USAGE) for name in ("m", "other")}
    with Gateway(Settings.from_mapping({**settings, "keys": keys}), models=models) as gateway:

        def statuses(name: str) -> list[int]:
            headers = (("content-type", "application/json"), *bearer(SECRETS[name]))
            return [gateway.handle(Request("POST", CHAT, headers, body)).status for _ in range(4)]

        assert [statuses(name) for name in ("ada", "eve", "few", "ada")] == [[200] * 4, [404] * 4, [200, 429, 429, 429], [200] * 4]
    assert models["m"].calls == 1
