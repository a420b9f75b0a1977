"""A model in this process asks another one on the account of its own caller."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from completions_mw import AsyncGateway, Caller, ChatRequest, Gateway, RateLimitError, Settings

KEY = "sk-of-who-asks"
PROMPT = [{"role": "user", "content": "one two three"}]


def settings(folder: Path, **limits: Any) -> Settings:
    return Settings(
        providers={"local": {"api": "echo"}},
        models={
            "inner": {"targets": ["local/echo"], "prices": {"input": "1", "output": "1"}},
            "outer": {"prices": {"input": "0", "output": "0"}},
        },
        keys={"ann": {"secret": KEY, "tenant": "acme", "limits": limits, "budget": {"usd": "1", "period": "total"}}},
        stores={"ledger": f"sqlite:///{folder}/ledger.db", "ledger_timeout": 30},
    )


class Wrapper:
    """The model `outer`, which hands on what the model `inner` says."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None
        self.callers: list[Caller | None] = []

    def __call__(self, request: ChatRequest) -> Iterator[Any]:
        assert self.gateway is not None
        self.callers.append(request.caller)
        messages = [message.model_dump(exclude_none=True) for message in request.messages]
        if request.stream:
            with self.gateway.stream(model="inner", messages=messages, caller=request.caller) as chunks:
                yield from chunks
        else:
            yield self.gateway.complete(model="inner", messages=messages, caller=request.caller)


@pytest.fixture
def wrapper() -> Wrapper:
    return Wrapper()


def gateway_of(wrapper: Wrapper, folder: Path, **limits: Any) -> Gateway:
    wrapper.gateway = Gateway(settings(folder, **limits), models={"outer": wrapper})
    return wrapper.gateway


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_one_who_asks_is_charged_and_counted_once(wrapper: Wrapper, tmp_path: Path, stream: bool) -> None:
    with gateway_of(wrapper, tmp_path, requests="2/hour", tokens="100000/hour", concurrency=1) as gateway:
        if stream:
            with gateway.stream(model="outer", messages=PROMPT, key=KEY) as chunks:
                names = {chunk.model for chunk in chunks}
        else:
            names = {gateway.complete(model="outer", messages=PROMPT, key=KEY).model}
        assert names == {"outer"}
        assert [caller and (caller.id, caller.tenant) for caller in wrapper.callers] == [("ann", "acme")]
        rows = {row.group: row for row in gateway.usage("model", key="ann")}
        assert {name: row.requests for name, row in rows.items()} == {"outer": 1, "inner": 1}
        [balance] = gateway.balances("ann")
        assert balance.spent == rows["inner"].cost_nano > 0
        # One request of two is left.
        gateway.complete(model="outer", messages=PROMPT, key=KEY)
        with pytest.raises(RateLimitError):
            gateway.complete(model="outer", messages=PROMPT, key=KEY)


def test_a_caller_that_outlives_its_request_is_limited_like_any_other(wrapper: Wrapper, tmp_path: Path) -> None:
    with gateway_of(wrapper, tmp_path, requests="1/hour") as gateway:
        gateway.complete(model="outer", messages=PROMPT, key=KEY)
        [kept] = wrapper.callers
        with pytest.raises(RateLimitError):
            gateway.complete(model="inner", messages=PROMPT, caller=kept)


def test_the_host_app_itself_is_nobody(wrapper: Wrapper, tmp_path: Path) -> None:
    with gateway_of(wrapper, tmp_path) as gateway:
        gateway.complete(model="outer", messages=PROMPT)
        assert wrapper.callers == [None]
        assert [row.requests for row in gateway.usage("key")] == [2]


def test_limits_of_the_inner_model_still_hold(wrapper: Wrapper, tmp_path: Path) -> None:
    tree = settings(tmp_path)
    limited = tree.models["inner"].model_copy(update={"limits": tree.keys["ann"].limits.model_validate({"requests": "1/hour"})})
    wrapper.gateway = Gateway(tree.model_copy(update={"models": {**tree.models, "inner": limited}}), models={"outer": wrapper})
    with wrapper.gateway as gateway:
        gateway.complete(model="outer", messages=PROMPT, key=KEY)
        with pytest.raises(RateLimitError):
            gateway.complete(model="outer", messages=PROMPT, key=KEY)


def test_async_models_too(tmp_path: Path) -> None:
    async def wrap(request: ChatRequest) -> Any:
        messages = [message.model_dump(exclude_none=True) for message in request.messages]
        return await gateway.complete(model="inner", messages=messages, caller=request.caller)

    async def ask() -> None:
        async with gateway:
            answer = await gateway.complete(model="outer", messages=PROMPT, key=KEY)
            assert answer.model == "outer"
            assert {row.group: row.requests for row in await gateway.usage("model", key="ann")} == {"outer": 1, "inner": 1}

    gateway = AsyncGateway(settings(tmp_path, requests="2/hour", concurrency=1), models={"outer": wrap})
    asyncio.run(ask())
