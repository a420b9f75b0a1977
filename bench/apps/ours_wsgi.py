"""Ours on threads: the same as `ours_asgi`."""

import gc

from bench.apps.upstreams import settings, transport
from completions_mw import Gateway
from completions_mw.adapters.wsgi import CompletionsMiddleware

app = CompletionsMiddleware(None, Gateway(settings(), transport=transport(blocking=True)))

gc.freeze()
