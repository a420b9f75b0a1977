"""Ours on an event loop: keys, validation, relay, streams with their usage rewritten."""

import gc

from bench.apps.upstreams import settings, transport
from completions_mw import AsyncGateway
from completions_mw.adapters.asgi import CompletionsMiddleware

app = CompletionsMiddleware(None, AsyncGateway(settings(), transport=transport(blocking=False)))

gc.freeze()
