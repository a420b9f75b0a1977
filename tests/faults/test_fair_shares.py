"""One key cannot take all connections to an upstream from the others (docs/promises.md, Bounds)."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from completions_mw import AsyncGateway, Caller, Request, Settings
from tests.faults.conftest import AsyncClient, BlockingClient, settings_for
from tests.faults.crowd import asking
from tests.support.upstream import MockUpstream
from tests.support.waiting import wait_until

MAX = 10
SHARE = 5
GREEDY = asking("sk-greedy", "ttfb")
MODEST = asking("sk-modest", "ok")
KEYS = {name: {"secret": f"sk-{name}"} for name in ("greedy", "modest")}


def settings(upstream: MockUpstream, **connections: Any) -> Settings:
    return settings_for(upstream, models={"ttfb": {"targets": ["up/ttfb"]}}, keys=KEYS, connections={"max": MAX, **connections})


def pools_of(client: BlockingClient | AsyncClient) -> str:
    """Return what is in use, and who waits."""
    transport = client.gateway._wiring.models._transport
    return repr(transport._pools if isinstance(client, BlockingClient) else list(transport._pools._values.values()))
