"""The settings, keys and logins that all conformance tests share, so that each host is started once."""

from typing import Any, Final

from completions_mw import Caller, Request, Settings
from tests.hosts.base import CHAT, Host, HostResponse, bearer
from tests.support.exchange import HeaderPairs

KEY: Final = "sk-team-a-0123456789abcdef"
LIMITED_KEY: Final = "sk-limited-0123456789abcdef"
EXPIRED_KEY: Final = "sk-expired-0123456789abcdef"
DISABLED_KEY: Final = "sk-disabled-0123456789abcdef"
MAX_BODY: Final = 64 * 1024
JSON: Final = (("content-type", "application/json"),)
UPSTREAM_MODELS: Final = ("ok", "stall-2", "ttfb", "endless", "errorevent", "firsterror", "trunc", "hang", "status-500")
MESSAGES: Final = [{"role": "user", "content": "one two three"}]


def settings(upstream_url: str) -> Settings:
    """Return the settings of every host."""
    echoes = {"m": "echo/m", "org/model": "echo/model", "unlisted": "echo/unlisted"}
    return Settings(
        max_body_bytes=MAX_BODY,
        # As short as can be told from noise: only the tests for silent upstreams wait for it.
        keep_alive=0.05,
        providers={"echo": {"api": "echo"}, "up": {"api": "openai", "base_url": upstream_url, "api_key": "sk-upstream"}},
        models={name: {"targets": [target]} for name, target in (echoes | {name: f"up/{name}" for name in UPSTREAM_MODELS}).items()},
        keys={
            "team-a": {"secret": KEY},
            "limited": {"secret": LIMITED_KEY, "models": ["m"]},
            "expired": {"secret": EXPIRED_KEY, "expires_at": "2020-01-01T00:00:00Z"},
            "disabled": {"secret": DISABLED_KEY, "disabled": True},
        },
    )


def login(request: Request) -> Caller | str | None:
    """Be the login of the host app: whoever its session cookie names; guests may use one model."""
    name = dict(request.headers).get("cookie", "").removeprefix("session=")
    return Caller("guest", models=frozenset({"m"})) if name == "guest" else name or None


def chat_body(**fields: Any) -> dict[str, Any]:
    """Return a request to the echo model."""
    return {"model": "m", "messages": MESSAGES, **fields}


def post(host: Host, body: bytes, headers: HeaderPairs = (), key: str = KEY) -> HostResponse:
    """Return the answer to a chat request."""
    return host.request("POST", CHAT, (*bearer(key), *JSON, *headers), body)
