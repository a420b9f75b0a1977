"""The server that the clients talk to: our ASGI middleware, stand-alone, with the settings that the environment names."""

from completions_mw import AsyncGateway, Settings
from completions_mw.adapters.asgi import CompletionsMiddleware
from tests.clients.scripted import scripted

app = CompletionsMiddleware(None, AsyncGateway(Settings.from_env(), models={"scripted": scripted}))
