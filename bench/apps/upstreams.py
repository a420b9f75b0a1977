"""Where the relays send: the mock upstream, and the transport that is compared, as the environment names them."""

import importlib
import os
from collections.abc import Callable
from typing import Final, Protocol

from bench import wire
from completions_mw import Settings
from completions_mw.core.ports import Transport

CERTIFICATE: Final = os.environ.get("BENCH_CERTIFICATE")
"""File of the upstream's certificate, where it speaks TLS."""
URL: Final = f"{'https' if CERTIFICATE else 'http'}://127.0.0.1:{os.environ.get('BENCH_UPSTREAM', '0')}/v1"
CONNECTIONS: Final = 256
"""To the upstream: more than the clients have, so that no pool's limit is measured."""
HEADERS: Final = (
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
    ("authorization", "Bearer sk-upstream"),
)
LIMITS: Final = {"limits": {"requests": "1000000000/minute", "tokens": "1000000000000/minute", "concurrency": 1_000_000}}
BUDGET: Final = {"budget": {"usd": "1000000", "period": "month"}}
"""Both are never reached."""


class TransportFactory(Protocol):
    """What `--transport module:name` names: makes a transport, or None where there is none of the kind."""

    def __call__(self, *, blocking: bool) -> Transport | None: ...


def transport(*, blocking: bool) -> Transport | None:
    """Return the transport that was asked for; None for the built-in one."""
    name = os.environ.get("BENCH_TRANSPORT")
    if not name:
        return None
    module, _, attribute = name.partition(":")
    factory: TransportFactory = getattr(importlib.import_module(module), attribute)
    made = factory(blocking=blocking)
    if made is None:
        raise SystemExit(f"{name} has no {'blocking' if blocking else 'async'} transport")
    return made


def built_in(*, blocking: bool) -> Transport:
    """Return the built-in transport, with as many connections as the others."""
    from completions_mw.backends.http import AsyncTransport, BlockingTransport
    from completions_mw.backends.http.request_head import tls_context

    if CERTIFICATE:
        # No setting trusts anybody but the public authorities.
        tls_context().load_verify_locations(CERTIFICATE)
    make: Callable[[int], Transport] = BlockingTransport if blocking else AsyncTransport
    return make(CONNECTIONS)


def settings() -> Settings:
    """Return the settings of the gateways: one key, one model, the mock upstream, and what the environment names a store for."""
    stores = {
        name: os.environ[variable]
        for name, variable in (("admission", "BENCH_ADMISSION"), ("ledger", "BENCH_LEDGER"), ("cache", "BENCH_CACHE"))
        if variable in os.environ
    }
    key = {"secret": wire.KEY, **(LIMITS if "admission" in stores else {}), **(BUDGET if "ledger" in stores else {})}
    return Settings(
        prefix="/v1",
        providers={"upstream": {"api": "openai", "base_url": URL, "api_key": "sk-upstream"}},
        models={wire.MODEL: {"targets": [f"upstream/{wire.MODEL}"], "prices": {"input": "0.15", "output": "0.60"}}},
        keys={"bench": key},
        stores=stores,
        cache={"enabled": "cache" in stores, "when": "always"},
        connections={"max": CONNECTIONS},
    )
