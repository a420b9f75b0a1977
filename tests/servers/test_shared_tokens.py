"""Every token that an upstream reports is settled once, whatever happens to the requests beside it."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import NamedTuple

import pytest

from completions_mw.core.ports import UsageRow
from tests.servers.apps import KEY
from tests.servers.client import StreamClient, chat, text_of
from tests.servers.conftest import Running, Start, Upstream
from tests.servers.fleet import PATIENCE, books, every_pair, fleet, models, sharing
from tests.servers.kinds import Kind
from tests.support import upstream_answers
from tests.support.rawhttp import RawClient
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

CLIENTS = 16
MODELS = ("ok", "nousage", "cut-4", "status-500", "stall-4", "announced")
INPUT, OUTPUT = 1000, 2000
"""Nano-dollars of a token."""
PRICES = {"input": "1", "output": "2"}
TEMPLATE = 20
"""Bytes that a prompt is taken to be longer than its text: the role, and what the chat template adds."""


class Used(NamedTuple):
    """The tokens of a request."""

    prompt: int = 0
    completion: int = 0
    estimated: int = 0


class Asker(NamedTuple):
    """What asks for one thing and says what it has to cost."""

    servers: list[Running]
    upstream: Upstream

    def whole(self, number: int, text: str) -> Used:
        with self._client(number) as client:
            answer = client.exchange(chat("ok", text))
        assert answer.status == 200, answer
        return _reported(json.loads(answer.body)["usage"])

    def stream(self, number: int, text: str) -> Used:
        with self._streaming("ok", number, text, stream_options={"include_usage": True}) as client:
            *events, last, done = client.rest_of_events()
        assert text_of([*events, done]) == text
        return _reported(json.loads(last)["usage"])

    def whole_without_usage(self, number: int, text: str) -> Used:
        with self._client(number) as client:
            answer = client.exchange(chat("nousage", text))
        assert answer.status == 200, answer
        return _estimated(text, text)

    def stream_without_usage(self, number: int, text: str) -> Used:
        with self._streaming("nousage", number, text) as client:
            return _estimated(text, text_of(client.rest_of_events()))

    def upstream_cuts_whole(self, number: int, text: str) -> Used:
        self._refused("cut-4", number, text)
        whole = upstream_answers.completion({"model": "cut-4", "messages": [{"role": "user", "content": text}]})
        # What came of it, half of its bytes, is taken for text.
        return _estimated(text, json.dumps(whole)[: len(json.dumps(whole)) // 2])

    def upstream_cuts_stream(self, number: int, text: str) -> Used:
        with self._streaming("cut-4", number, text) as client:
            *events, error = client.rest_of_events()
        assert "error" in json.loads(error)
        return _estimated(text, text_of([*events, "[DONE]"]))

    def upstream_fails(self, number: int, text: str) -> Used:
        return self._refused("status-500", number, text)

    def leaves_stream(self, number: int, text: str) -> Used:
        with self._streaming("stall-4", number, text) as client:
            events = [client.next_event() for _ in range(4)]
        return _estimated(text, text_of([*(event.text.removeprefix("data: ") for event in events if event), "[DONE]"]))

    def leaves_whole(self, number: int, text: str) -> Used:
        with self._client(number) as client:
            client.send(chat("announced", text))
            assert self.upstream.announced.came[text].wait(PATIENCE)
        return _estimated(text, "")

    def _refused(self, model: str, number: int, text: str) -> Used:
        with self._client(number) as client:
            assert client.exchange(chat(model, text)).status == 502
        return Used()

    def _client(self, number: int) -> RawClient:
        return RawClient(self.servers[number % len(self.servers)].port, timeout=PATIENCE)

    def _streaming(self, model: str, number: int, text: str, **fields: object) -> StreamClient:
        client = StreamClient(self.servers[number % len(self.servers)].port, timeout=PATIENCE)
        client.ask(model, text, **fields)
        client.start()
        return client


def _reported(usage: dict[str, int]) -> Used:
    return Used(usage["prompt_tokens"], usage["completion_tokens"])


def _estimated(prompt: str, completion: str) -> Used:
    return Used(-(-(len(prompt) + TEMPLATE) // 4), -(-len(completion) // 4), 1)


ASKED: dict[Callable[[Asker, int, str], Used], tuple[str, int]] = {
    Asker.whole: ("ok", 8),
    Asker.stream: ("ok", 8),
    Asker.whole_without_usage: ("nousage", 2),
    Asker.stream_without_usage: ("nousage", 2),
    Asker.upstream_cuts_whole: ("cut-4", 1),
    Asker.upstream_cuts_stream: ("cut-4", 2),
    Asker.upstream_fails: ("status-500", 2),
    Asker.leaves_stream: ("stall-4", 2),
    Asker.leaves_whole: ("announced", 2),
}
"""The model, and how often it is asked for so, compared with the others."""


def use(servers: list[Running], upstream: Upstream, requests: int) -> dict[str, UsageRow]:
    """Ask for all sorts of things; return what that must have used."""
    random = Random(requests)
    asker = Asker(servers, upstream)
    chosen = random.choices(list(ASKED), [weight for _, weight in ASKED.values()], k=requests)
    texts = [" ".join(f"{number}-{word}" for word in range(random.randint(5, 30))) for number in range(requests)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        used = list(pool.map(lambda ask, number, text: ask(asker, number, text), chosen, range(requests), texts))
    of_models: defaultdict[str, list[Used]] = defaultdict(list)
    for ask, one in zip(chosen, used, strict=True):
        of_models[ASKED[ask][0]].append(one)
    return {model: _row(model, all_of_it) for model, all_of_it in of_models.items()}


def _row(model: str, used: list[Used]) -> UsageRow:
    prompt, completion, estimated = map(sum, zip(*used, strict=True))
    return UsageRow(model, len(used), prompt, completion, 0, 0, prompt * INPUT + completion * OUTPUT, estimated)


@pytest.mark.parametrize(
    ("requests", "servers"), [pytest.param(100, 1, id="quick"), pytest.param(10_000, 2, id="full", marks=pytest.mark.soak)]
)
@every_pair
def test_settled_tokens_are_the_upstreams(
    kind: Kind, requests: int, servers: int, start: Start, upstream: Upstream, redis_server: RedisServer, ledger: str
) -> None:
    limits = {"requests": "1000000/day", "tokens": "1000000000/day"}
    keys = {"team": {"secret": KEY, "limits": limits, "budget": {"usd": "1000", "period": "total"}}}
    settings = sharing(redis_server, ledger, keys=keys, models=models(*MODELS, prices=PRICES))
    with books(ledger) as reader, fleet(start, kind, settings, servers=servers) as running:
        expected = use(list(running.servers), upstream, requests)
        # Who left is not told when the request is settled.
        wait_until(lambda: sum(row.requests for row in reader.usage("model")) == requests, timeout=PATIENCE)
        rows = {row.group: row for row in reader.usage("model")}
        (balance,) = reader.balances("team")
        logs = [server.process.output() for server in running.servers]
    # Of these answers nobody saw anything, so the time until their clients left is charged.
    unseen = rows["announced"].completion_tokens
    announced = expected["announced"]
    expected["announced"] = replace(announced, completion_tokens=unseen, cost_nano=announced.cost_nano + unseen * OUTPUT)
    assert rows == expected
    assert upstream_usage(upstream) == (rows["ok"].prompt_tokens, rows["ok"].completion_tokens)
    assert (balance.spent, balance.reserved) == (sum(row.cost_nano for row in rows.values()), 0)
    tokens = sum(row.prompt_tokens + row.completion_tokens for row in rows.values())
    assert used(redis_server) == {"requests": requests, "tokens": tokens}
    assert not any("Traceback" in log for log in logs), logs


def upstream_usage(upstream: Upstream) -> tuple[int, int]:
    """Return the sums of what the upstream has reported."""
    total: Counter[str] = Counter()
    for request in upstream.requests:
        if request.model == "ok":
            total.update(upstream_answers.usage(request.json))
    return total["prompt_tokens"], total["completion_tokens"]


def used(redis: RedisServer) -> dict[str, int]:
    """Return what is used of the team's limits."""
    windows = {"requests": "key:team:requests:86400", "tokens": "key:team:tokens:86400"}
    return {name: int(redis.command("HGET", f"{{completions_mw}}:window:{bucket}", "used")) for name, bucket in windows.items()}
