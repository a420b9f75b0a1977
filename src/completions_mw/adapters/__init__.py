"""Where the gateway is mounted: one small file a host framework, each with two functions named for the direction of translation.

    wsgi.py        any WSGI app: `CompletionsMiddleware`
    asgi.py        any ASGI app: `CompletionsMiddleware`
    flask.py       the extension `Completions`
    django/        a URLconf, `urls`, and the view behind it, `views`
    starlette.py   `routes(gateway)`
    fastapi.py     `router(gateway)`, with OpenAPI documents
    support.py     what adapters share: lazy framework imports, settings of a host app, checks of the gateway's kind

Adapters decide nothing and catch nothing: `Pipeline.handle` turns every failure into a response.
"""
