"""A gateway whose transport answers with the fixtures of one wire format."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from completions_mw import Gateway, Request, Settings
from completions_mw.http import UpstreamRequest, UpstreamResponse
from completions_mw.providers.base import Upstream
from completions_mw.providers.registry import upstream_of
from tests.providers.corpus.case import Case, cases
from tests.providers.corpus.format import Format

_KEY: Final = "sk-corpus-client"


class Pieces:
    """The body of an upstream's answer, which is there already."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)

    async def __anext__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            raise StopAsyncIteration from None

    def detach(self, tick: float) -> None:
        pass

    async def finish(self) -> None:
        pass

    async def aclose(self) -> None:
        self._pieces = iter(())


class Fixtures:
    """A transport that answers every request with the case that is set."""

    def __init__(self, format: Format) -> None:
        self.format = format
        self.case: Case | None = None
        self.stream = False
        self.requests: list[UpstreamRequest] = []

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        assert self.case is not None
        self.requests.append(request)
        case, content_type = self.case, "application/json"
        if not self.stream:
            return UpstreamResponse(case.status, (("content-type", content_type), *case.headers.items()), Pieces(case.body))
        content_type = upstream(self.format).wire_format.stream_content_type
        return UpstreamResponse(200, (("content-type", content_type),), Pieces(self.format.encode(case.events)))

    async def aclose(self) -> None:
        pass


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


@cache
def _gateway(format: Format) -> tuple[Gateway, Fixtures]:
    fixtures = Fixtures(format)
    return Gateway(settings(format), transport=fixtures), fixtures


def exchange(format: Format, case: Case, *, stream: bool) -> Exchange:
    """Send a case's request through the gateway, and return what became of it on both sides."""
    gateway, fixtures = _gateway(format)
    fixtures.case, fixtures.stream = case, stream
    fields = {**case.request, "stream": True, "stream_options": {"include_usage": True}} if stream else case.request
    headers = (("content-type", "application/json"), ("authorization", f"Bearer {_KEY}"))
    response = gateway.handle(Request("POST", "/api/v1/chat/completions", headers, json.dumps(fields).encode()))
    body = response.body
    if not isinstance(body, bytes):
        with body:
            body = b"".join(body)
    assert fixtures.requests, body
    asked = fixtures.requests.pop()
    return Exchange(asked.url, json.loads(asked.body), response.status, dict(response.headers), body)
