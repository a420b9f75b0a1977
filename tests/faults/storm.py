"""What storms of cancelled requests ask for: models for each moment at which a request can end.

Imports little, for the process of greenlets.
"""

from collections.abc import Mapping
from functools import cache

from pydantic_core import to_json

from completions_mw import Request, Settings

KEY = "sk-client-key"
POOL = 10
"""Connections to each upstream."""
AT_ONCE = 30
MODELS = {"ok": 4, "ttfb": 4, "stall": 4, "hang": 4, "connecting": 2, "handshake": 2, "sending": 1}
"""Models, and how often each is asked for beside the others. The last three never come to an answer."""
STAGES = ("connecting", "handshake", "sending")
LARGE = "x" * 4_000_000
"""More than the network holds."""


def settings_of(urls: Mapping[str, str], connect: float = 60.0) -> Settings:
    """Return settings with all models, none of which gives up a request.

    Args:
        urls: base URLs of the providers.
        connect: seconds that a connection to those that never answer may take.
    """
    timeouts = {"connect": 60.0, "first_byte": 60.0, "between_events": 60.0}
    slow = {**timeouts, "connect": connect}
    return Settings.from_mapping(
        {
            "providers": {
                name: {"api": "openai", "base_url": url, "api_key": "sk-upstream", "timeouts": slow if name in STAGES else timeouts}
                for name, url in urls.items()
            },
            "models": {name: {"targets": [f"{name if name in STAGES else 'up'}/{name}"]} for name in (*MODELS, "together")},
            "keys": {"client": {"secret": KEY}},
            "keep_alive": 0.1,
        }
    )


@cache
def request_for(model: str, *, stream: bool) -> Request:
    """Return a request, made once."""
    content = LARGE if model == "sending" else "one two three"
    body = to_json({"model": model, "messages": [{"role": "user", "content": content}], "stream": stream})
    headers = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"))
    return Request("POST", "/api/v1/chat/completions", headers, body)
