"""Adapters that mount a gateway in an app: one file for each framework.

    wsgi.py        WSGI apps: `CompletionsMiddleware`; the client's body and its leaving are in wsgi_client.py
    asgi.py        ASGI apps: `CompletionsMiddleware`; its requests and clients are in asgi_request.py, asgi_client.py and asgi_rounds.py
    flask.py       Flask: the extension `Completions`
    django/        Django: the URLconf `urls`
    starlette.py   Starlette: `routes(gateway)`
    fastapi.py     FastAPI: `router(gateway)`; what its OpenAPI document says is in fastapi_docs.py
    support.py     used by all adapters: optional imports, settings of the host app, checks of the gateway's kind

Each has a `to_request` or `ScopeRequest`, and a function for the way back, such as `to_flask_response`.
Adapters translate, and decide nothing: `Pipeline.handle` turns every failure into a response.
"""
