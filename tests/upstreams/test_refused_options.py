"""Upstreams that refuse what the client never sent."""

from typing import Any

import pytest

from completions_mw import Gateway, InvalidRequestError, Settings
from tests.upstreams.replay import replay

HELLO = [{"role": "user", "content": "hi"}]


def settings(url: str, **more: Any) -> Settings:
    return Settings.from_mapping(
        {
            "providers": {"up": {"api": "openai", "base_url": url, **more}},
            "models": {name: {"targets": [f"up/{name}"]} for name in ("so-refused", "e422-detail")},
        }
    )


def text(gateway: Gateway) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in gateway.stream(model="so-refused", messages=HELLO))


def test_stream_options_that_were_refused_are_not_sent_again() -> None:
    with replay() as server, Gateway(settings(server.url)) as gateway:
        assert text(gateway) == text(gateway) != ""
        assert server.asked["so-refused"] == 3


def test_a_setting_says_so_from_the_start() -> None:
    with replay() as server, Gateway(settings(server.url, stream_options=False)) as gateway:
        assert text(gateway)
        assert server.asked["so-refused"] == 1


def test_a_refusal_names_no_parameter_that_the_client_did_not_send() -> None:
    with replay() as server, Gateway(settings(server.url)) as gateway, pytest.raises(InvalidRequestError) as caught:
        gateway.complete(model="e422-detail", messages=HELLO)
    assert caught.value.param is None
