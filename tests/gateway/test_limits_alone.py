"""Limits without a ledger: tokens are counted where a limit asks for them, and what a request held is given back however it ends."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from pydantic_core import to_json

from completions_mw import Gateway, Request, Settings, UpstreamError
from completions_mw.blocking import BlockingIterator
from completions_mw.http import Response

KEY = "sk-of-limits-alone"
HELLO = [{"role": "user", "content": "one two three"}]
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def good(_: object) -> Iterator[object]:
    yield "one"
    yield {"usage": USAGE}


def bad(_: object) -> Iterator[object]:
    yield "one"
    raise UpstreamError("There is no more of it.")


@pytest.fixture(
    params=[{}, {"requests": "100/minute"}, {"requests": "100/minute", "tokens": "100000/minute"}], ids=["place", "requests", "tokens"]
)
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    limits = {**request.param, "concurrency": 1}
    settings = Settings(models={"good": {}, "bad": {}}, keys={"ann": {"secret": KEY, "limits": limits}})
    with Gateway(settings, models={"good": good, "bad": bad}) as made:
        yield made


def ask(gateway: Gateway, model: str = "good", *, stream: bool = False) -> Response[BlockingIterator[bytes]]:
    body = to_json({"model": model, "messages": HELLO, "max_tokens": 5, "stream": stream})
    headers = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"))
    return gateway.handle(Request("POST", "/api/v1/chat/completions", headers, body))


def chunks(gateway: Gateway, model: str = "good") -> BlockingIterator[bytes]:
    body = ask(gateway, model, stream=True).body
    assert isinstance(body, BlockingIterator)
    return body


def read(stream: BlockingIterator[bytes]) -> None:
    with stream:
        list(stream)


def leave(stream: BlockingIterator[bytes]) -> None:
    with stream:
        next(stream)


ENDS: dict[str, Callable[[Gateway], object]] = {
    "whole": ask,
    "whole-fails": lambda gateway: ask(gateway, "bad"),
    "stream": lambda gateway: read(chunks(gateway)),
    "stream-fails": lambda gateway: read(chunks(gateway, "bad")),
    "client-leaves": lambda gateway: leave(chunks(gateway)),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_place_is_free_again(gateway: Gateway, end: Callable[[Gateway], object]) -> None:
    with chunks(gateway):
        assert ask(gateway).status == 429
    for _ in range(3):
        with suppress(UpstreamError):
            end(gateway)
    assert ask(gateway).status == 200


def test_limits_count_what_was_used(gateway: Gateway) -> None:
    """And not what was reserved: the second answer shows what the first one left."""
    first, second = (dict(ask(gateway).headers) for _ in range(2))
    for family, used in (("requests", 1), ("tokens", USAGE["total_tokens"])):
        name = f"x-ratelimit-remaining-{family}"
        if name in first:
            assert int(first[name]) - int(second[name]) == used
