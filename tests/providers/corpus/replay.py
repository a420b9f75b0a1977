"""Gateways whose upstreams answer with the fixtures of a wire format."""

import json
from functools import cache
from typing import NamedTuple

from completions_mw import Settings
from completions_mw.providers.base import Upstream
from completions_mw.providers.registry import upstream_of
from tests.faults.conftest import KEY, AsyncClient, BlockingClient, raw_request
from tests.providers.corpus.case import Case, cases
from tests.providers.corpus.format import Format
from tests.support.canned import CannedTransport, Reply

Client = BlockingClient | AsyncClient


class Exchange(NamedTuple):
    """What the vendor was asked, and what the client got."""

    url: str
    sent: dict[str, object]
    status: int
    headers: dict[str, str]
    body: bytes


@cache
def settings(format: Format) -> Settings:
    """Return settings with every model of a format's cases, each under its own name."""
    models = {case.model: {"targets": [f"up/{case.model}"]} for case in cases(format.api)}
    providers = {"up": {"api": format.api, **format.settings}}
    return Settings.from_mapping({"providers": providers, "models": models, "keys": {"client": {"secret": KEY}}})


@cache
def upstream(format: Format) -> Upstream:
    """Return the wire format with its endpoint and capabilities."""
    provider = settings(format).providers["up"]
    assert not provider.is_local
    return upstream_of(provider)


def reply(format: Format, case: Case, *, stream: bool) -> Reply:
    """Return the vendor's answer in a case."""
    if stream:
        return Reply([format.encode(case.events)], upstream(format).wire_format.stream_content_type)
    return Reply([case.body], status=case.status, headers=tuple(case.headers.items()))


class _Replay:
    """The gateway of a format, and what its upstream answers next."""

    def __init__(self, format: Format, kind: type[Client]) -> None:
        self.reply: Reply
        self.transport = CannedTransport(lambda request: self.reply)
        self.client = kind(settings(format), transport=self.transport)


class Replays:
    """Gateways of one kind, one for each wire format."""

    def __init__(self, kind: type[Client]) -> None:
        self._kind = kind
        self._made: dict[str, _Replay] = {}

    def exchange(self, format: Format, case: Case, *, stream: bool) -> Exchange:
        """Send a case's request through the gateway, and return what became of it on both sides."""
        if format.api not in self._made:
            self._made[format.api] = _Replay(format, self._kind)
        replay = self._made[format.api]
        replay.reply = reply(format, case, stream=stream)
        fields = {**case.request, "stream": True, "stream_options": {"include_usage": True}} if stream else case.request
        answer = replay.client.send(raw_request(json.dumps(fields).encode()))
        assert replay.transport.requests, answer.body
        asked = replay.transport.requests.pop()
        return Exchange(asked.url, json.loads(asked.body), answer.status, answer.headers, answer.body)

    def close(self) -> None:
        for replay in self._made.values():
            replay.client.close()
