"""What the tests of single adapters share."""

import json
import subprocess
import sys
from typing import Any, Final

from completions_mw import Settings
from tests.hosts.base import bearer

KEY: Final = "sk-adapters-0123456789"
MAX_BODY: Final = 4096
TREE: Final[dict[str, Any]] = {
    "max_body_bytes": MAX_BODY,
    "providers": {"echo": {"api": "echo"}},
    "models": {"m": {"targets": ["echo/m"]}},
    "keys": {"team": {"secret": KEY}},
}
TOML: Final = f"""
[providers.echo]
api = "echo"
[models.m]
targets = ["echo/m"]
[keys.team]
secret = "{KEY}"
"""
CHAT_BODY: Final = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
STREAM_BODY: Final = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
HEADERS: Final = (*bearer(KEY), ("content-type", "application/json"))
USER_HEADERS: Final = (("content-type", "application/json"), ("cookie", "session=alice"))


def settings(**more: Any) -> Settings:
    """Return settings with one echo model and one key."""
    return Settings(**{**TREE, **more})


def upstream_settings(url: str) -> Settings:
    """Return settings whose model `m` is the upstream's `stall-2`."""
    provider = {"api": "openai", "base_url": url, "api_key": "sk-upstream"}
    return settings(keep_alive=0.05, providers={"up": provider}, models={"m": {"targets": ["up/stall-2"]}})


def import_without(framework: str, module: str) -> str:
    """Return what a process says that imports `module` where `framework` is not installed."""
    code = f"import sys; sys.modules[{framework!r}] = None\nimport {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]
