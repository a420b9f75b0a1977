"""A gateway whose upstream answers with the fixtures of one wire format."""

import json
from functools import cache
from typing import Final, NamedTuple

from completions_mw import Gateway, Request, Settings
from completions_mw.providers.base import Upstream
from completions_mw.providers.registry import upstream_of
from tests.providers.corpus.case import Case, cases
from tests.providers.corpus.format import Format
from tests.support.canned import CannedTransport, Reply

_KEY: Final = "sk-corpus-client"


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
    return Settings.from_mapping({"providers": providers, "models": models, "keys": {"client": {"secret": _KEY}}})


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

    def __init__(self, format: Format) -> None:
        self.reply: Reply
        self.transport = CannedTransport(lambda request: self.reply)
        self.gateway = Gateway(settings(format), transport=self.transport)


_replay_of = cache(_Replay)


def exchange(format: Format, case: Case, *, stream: bool) -> Exchange:
    """Send a case's request through the gateway, and return what became of it on both sides."""
    replay = _replay_of(format)
    replay.reply = reply(format, case, stream=stream)
    fields = {**case.request, "stream": True, "stream_options": {"include_usage": True}} if stream else case.request
    headers = (("content-type", "application/json"), ("authorization", f"Bearer {_KEY}"))
    response = replay.gateway.handle(Request("POST", "/api/v1/chat/completions", headers, json.dumps(fields).encode()))
    body = response.body
    if not isinstance(body, bytes):
        with body:
            body = b"".join(body)
    assert replay.transport.requests, body
    asked = replay.transport.requests.pop()
    return Exchange(asked.url, json.loads(asked.body), response.status, dict(response.headers), body)
