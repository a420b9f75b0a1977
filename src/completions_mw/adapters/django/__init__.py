"""Django, under WSGI and ASGI: `path("", include("completions_mw.adapters.django.urls"))`.

- `settings.COMPLETIONS_MW`: a mapping, the path of a TOML file, or a `Settings`.
- `settings.COMPLETIONS_MW_AUTHENTICATE` (optional): the project's own login, a function or its dotted path, sync or async. It is called
  with a `completions_mw.Request`, whose `native` is Django's: `lambda request: request.native.user.get_username() or None`.
- `settings.COMPLETIONS_MW_MODELS` (optional): Python functions as models, `{"my-bot": "myapp.bots.answer"}`.
- `settings.COMPLETIONS_MW_ON_BUDGET` (optional): a function or its dotted path, sync or async, called once with a `BudgetAlert` when a
  budget reaches 50, 80 and 100 per cent, or refuses its first request.

Other names that start with `COMPLETIONS_MW` are refused. In tests, `override_settings` builds paths and gateways anew.

The paths are no part of CSRF protection, `LoginRequiredMiddleware` and `ATOMIC_REQUESTS`. Under ASGI, Django reads the whole body before
any view, so a proxy in front should bound it; it notices clients that leave from version 5.0 on. Django has no lifespan: the gateway
ends with its process.
"""
