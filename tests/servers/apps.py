"""What both apps have in common: the settings that every server of this folder runs with."""

import json
import os

from completions_mw import Settings

KEY = "sk-servers-0123456789"
UPSTREAM_KEY = "sk-upstream-0123456789"
MODELS = ("ok", "ttfb", "slow", "stall-1", "stall-2", "hang", "endless", "stepwise", "gush")
"""Each is a scenario of the mock upstream."""

KEEP_ALIVE = 0.2
SEND_TIMEOUT = 0.5
BODY_TIMEOUT = 0.5
MAX_BODY = 1024 * 1024
MAX_CONNECTIONS = 1200
MAX_RESPONSE = 256 * 1024 * 1024


def settings() -> Settings:
    """Return the settings; the upstream's address comes from the environment, as do the tables that a test wants to be others."""
    usual = {
        "providers": {"mock": {"api": "openai", "base_url": os.environ["UPSTREAM_URL"], "api_key": UPSTREAM_KEY}},
        "models": {name: {"targets": [f"mock/{name}"]} for name in MODELS},
        "keys": {"team": {"secret": KEY}},
        "keep_alive": KEEP_ALIVE,
        "send_timeout": SEND_TIMEOUT,
        "body_timeout": BODY_TIMEOUT,
        "connections": {"max": MAX_CONNECTIONS},
        "max_body_bytes": MAX_BODY,
        "max_response_bytes": MAX_RESPONSE,
    }
    return Settings.from_mapping({**usual, **json.loads(os.environ.get("SETTINGS", "{}"))})
