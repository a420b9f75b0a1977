"""One client for both gateways: a test says what it sends and sees what comes back, whichever kind answers."""

import asyncio
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import pytest
from pydantic_core import from_json, to_json

from completions_mw import AsyncGateway, Gateway, Request, Settings
from tests.support.upstream import MockUpstream
from tests.support.whole_answer import whole_answer

KEY = "sk-canary-client-key"
UPSTREAM_KEY = "sk-canary-upstream-key"
HEADERS = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"))


class Answer(NamedTuple):
    """What a client saw, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return from_json(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error of a refusal, or the last event of a stream that failed."""
        if self.headers["content-type"] == "application/json":
            return dict(self.json["error"])
        return dict(from_json(self.events[-1])["error"])

    @property
    def events(self) -> list[bytes]:
        return [block.removeprefix(b"data: ") for block in self.body.split(b"\n\n") if block.startswith(b"data: ")]

    @property
    def is_complete(self) -> bool:
        return self.events[-1] == b"[DONE]"

    @property
    def text(self) -> str:
        if self.headers["content-type"] == "application/json":
            return str(self.json["choices"][0]["message"]["content"])
        chunks = [from_json(event) for event in self.events if event != b"[DONE]" and not event.startswith(b'{"error"')]
        return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


class Client(Protocol):
    """Sends requests through one kind of gateway."""

    def post(self, model: str, content: str = "one two three", **fields: Any) -> Answer: ...
    def send(self, request: Request) -> Answer: ...
    def probe(self, count: int) -> list[int]: ...


def request(model: str, content: str = "one two three", **fields: Any) -> Request:
    return raw_request(to_json({"model": model, "messages": [{"role": "user", "content": content}], **fields}))


def raw_request(body: bytes) -> Request:
    return Request("POST", "/api/v1/chat/completions", HEADERS, body)


class BlockingClient:
    def __init__(self, settings: Settings, **options: Any) -> None:
        self.gateway = Gateway(settings, **options)

    def post(self, model: str, content: str = "one two three", **fields: Any) -> Answer:
        return self.send(request(model, content, **fields))

    def send(self, request: Request) -> Answer:
        response = self.gateway.handle(request)
        if isinstance(response.body, bytes):
            return Answer(response.status, dict(response.headers), response.body)
        with response.body as body:
            return Answer(response.status, dict(response.headers), b"".join(body))

    def probe(self, count: int) -> list[int]:
        return [self.post("ok").status for _ in range(count)]

    def close(self) -> None:
        self.gateway.close()


class AsyncClient:
    def __init__(self, settings: Settings, **options: Any) -> None:
        self.gateway = AsyncGateway(settings, **options)
        self.runner = asyncio.Runner()

    def post(self, model: str, content: str = "one two three", **fields: Any) -> Answer:
        return self.send(request(model, content, **fields))

    def send(self, request: Request) -> Answer:
        return self.runner.run(self.asend(request))

    def probe(self, count: int) -> list[int]:
        return [self.post("ok").status for _ in range(count)]

    async def asend(self, request: Request) -> Answer:
        return Answer(*await whole_answer(await self.gateway.handle(request)))

    def close(self) -> None:
        self.runner.run(self.gateway.close())
        self.runner.close()


async def consume(gateway: AsyncGateway, model: str, *, stream: bool) -> int:
    """Read a whole answer; return its status."""
    status, _, _ = await whole_answer(await gateway.handle(request(model, stream=stream)))
    return status


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream() as server:
        yield server


@pytest.fixture(autouse=True)
def forgetful(upstream: MockUpstream) -> None:
    upstream.reset()


PATIENCE = {"connect": 20.0, "first_byte": 20.0, "between_events": 20.0, "total": 60.0}
"""Seconds that a machine which has much to do may need."""
HASTE = {"late": {"first_byte": 0.3, "total": 0.5}, "silent": {"between_events": 0.3, "total": 1.0}}
"""The timeouts of the providers whose models never answer, and fall silent: nothing arrives there, so no machine is too slow for them.
Whole answers have nothing but `total`.
"""
SLOW = {"ttfb": "late", "stall": "silent", "stall-3": "silent"}


def settings_for(upstream: MockUpstream, timeouts: Mapping[str, float] = MappingProxyType({}), **more: Any) -> Settings:
    """Return settings with every scenario as a model.

    Args:
        upstream: the provider.
        timeouts: of all models, those that never answer included; without any, only these are given up soon.
        **more: further settings; providers come beside the usual ones.
    """
    from tests.support.upstream_scenarios import SCENARIOS

    up = {"api": "openai", "base_url": upstream.url, "api_key": UPSTREAM_KEY}
    hasty = {} if timeouts else {name: {**up, "timeouts": haste} for name, haste in HASTE.items()}
    names = [*SCENARIOS, *(f"status-{status}" for status in range(400, 600)), "stall-3", "n", "flaky-1"]
    targets = {name: f"{SLOW.get(name, 'up') if hasty else 'up'}/{name}" for name in names}
    return Settings.from_mapping(
        {
            "providers": {"up": up, **hasty, **more.pop("providers", {})},
            "timeouts": {**PATIENCE, **timeouts},
            "models": {
                **{name: {"targets": [target]} for name, target in targets.items()},
                "alias": {"targets": ["up/ok"]},
                **more.pop("models", {}),
            },
            "keys": {"client": {"secret": KEY}},
            "keep_alive": 0.1,
            "retries": {"attempts": 1},
            "breaker": {"enabled": False},
            "max_response_bytes": 2 * 1024 * 1024,
            **more,
        }
    )


every_transport = pytest.mark.parametrize("transport", ["httptools", "httpx2"])


@pytest.fixture
def transport() -> str:
    """The setting `transport`: the default, where a test is not for every one."""
    return "httptools"


@pytest.fixture(params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def client(request: pytest.FixtureRequest, upstream: MockUpstream, transport: str) -> Iterator[Client]:
    made = request.param(settings_for(upstream, transport=transport))
    yield made
    made.close()
