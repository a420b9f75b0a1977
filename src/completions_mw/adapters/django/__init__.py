"""Adapter for Django, under WSGI and ASGI: `path("", include("completions_mw.adapters.django.urls"))`.

- `settings.COMPLETIONS_MW`: a mapping, the path of a TOML file, or a `Settings`.
- `settings.COMPLETIONS_MW_AUTHENTICATE` (optional): the project's own login, a function or its dotted path, sync or async. It is called
  with a `completions_mw.Request`, whose `native` is Django's request: `lambda request: request.native.user.get_username() or None`.
- `settings.COMPLETIONS_MW_CREDENTIALS` (optional): functions that return a bearer token, or their dotted paths, by the name of a provider.
- `settings.COMPLETIONS_MW_EMBEDDINGS` (optional): the same for embeddings models.
- `settings.COMPLETIONS_MW_MODELS` (optional): Python functions as models, such as `{"my-bot": "myapp.bots.answer"}`.
- `settings.COMPLETIONS_MW_ON_BUDGET` (optional): a function or its dotted path, sync or async, called with a `BudgetAlert` once when a
  budget reaches 50, 80 and 100 per cent, and when it refuses its first request.
- `settings.COMPLETIONS_MW_PROVIDERS` (optional): wire formats, objects or classes or their dotted paths, by the `format` of a provider.
- `settings.COMPLETIONS_MW_SEMANTIC_CACHE` (optional): the project's cache for similar requests, an object or its dotted path, with the
  methods `lookup` and `store`, sync or async.

Other settings that start with `COMPLETIONS_MW` are refused. In tests, `override_settings` rebuilds paths and gateways.

CSRF protection, `LoginRequiredMiddleware` and `ATOMIC_REQUESTS` do not apply to the paths. Under ASGI, Django receives the whole body
before it calls a view, in memory or in a temporary file: a proxy should bound bodies, or the project's ASGI app be wrapped by
`adapters.asgi.CompletionsMiddleware` instead. It notices that a client left from version 5.0 on, and has no lifespan: the gateway ends with
its process.

urls.py       the URLconf
views.py      the view of all paths, and the translation of requests and responses
finishing.py  answers that go on without their clients under ASGI
gateways.py   builds the gateways from Django's settings
"""
