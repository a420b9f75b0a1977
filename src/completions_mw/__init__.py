"""OpenAI-compatible chat completions and embeddings inside your own web app.

    from completions_mw import Gateway, Settings

    gateway = Gateway(Settings.from_toml("completions.toml"))
    completion = gateway.complete(model="gpt-3.5-turbo", messages=[{"role": "user", "content": "Hello!"}])

The tree, from what users call down to what all parts share:

    cli/         the command `completions-mw`
    adapters/    mounts a gateway in an app: wsgi, asgi, flask, django, starlette, fastapi
    gateway/     `Gateway` and `AsyncGateway`: join settings, core and backends
    backends/    the only code that does I/O: upstreams, stores, models in this process
    core/        what happens to a request, without I/O
    providers/   the wire formats of upstreams
    settings/    settings, from a file or a mapping
    schemas/     requests and answers of the API, as models
    blocking.py  runs coroutines that never suspend, so that threads need no event loop
    frames.py    keeps keys, prompts and passwords out of the local variables that tracebacks show
    errors.py    every error that a client can get
    http.py      requests and responses, of clients and of upstreams
    sse.py       server-sent events: decoder and encoder
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from completions_mw.core.budgets.budgets import BudgetAlert
    from completions_mw.core.cache.cache import CacheStats
    from completions_mw.core.keys.caller import Caller
    from completions_mw.core.keys.secrets import NewKey
    from completions_mw.core.keys.service import KeyNotFoundError
    from completions_mw.core.ports import Balance, KeyExistsError, KeyRecord, StoreError, UsageRow
    from completions_mw.core.resilience.store_health import StoreSnapshot
    from completions_mw.core.telemetry.log import JsonFormatter
    from completions_mw.errors import (
        AuthenticationError,
        BudgetExceededError,
        ClientDisconnectedError,
        ConfigurationError,
        GatewayError,
        HeadersTooLargeError,
        InternalError,
        InvalidRequestError,
        LengthRequiredError,
        MethodNotAllowedError,
        NotCachedError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitError,
        RequestTimeoutError,
        RequestTooLargeError,
        ServiceUnavailableError,
        UnsupportedMediaTypeError,
        UpstreamError,
        UpstreamTimeoutError,
    )
    from completions_mw.gateway import AsyncGateway, Gateway, GatewayOptions
    from completions_mw.http import Request, Response
    from completions_mw.schemas import (
        ChatCompletion,
        ChatCompletionChunk,
        ChatRequest,
        EmbeddingRequest,
        EmbeddingResponse,
        Explanation,
    )
    from completions_mw.settings import Budget, Limits, Settings

__version__ = "0.1.0"

__all__ = [
    "AsyncGateway",
    "AuthenticationError",
    "Balance",
    "Budget",
    "BudgetAlert",
    "BudgetExceededError",
    "CacheStats",
    "Caller",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatRequest",
    "ClientDisconnectedError",
    "ConfigurationError",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "Explanation",
    "Gateway",
    "GatewayError",
    "GatewayOptions",
    "HeadersTooLargeError",
    "InternalError",
    "InvalidRequestError",
    "JsonFormatter",
    "KeyExistsError",
    "KeyNotFoundError",
    "KeyRecord",
    "LengthRequiredError",
    "Limits",
    "MethodNotAllowedError",
    "NewKey",
    "NotCachedError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "Request",
    "RequestTimeoutError",
    "RequestTooLargeError",
    "Response",
    "ServiceUnavailableError",
    "Settings",
    "StoreError",
    "StoreSnapshot",
    "UnsupportedMediaTypeError",
    "UpstreamError",
    "UpstreamTimeoutError",
    "UsageRow",
]

_MODULES = {
    "completions_mw.core.keys.caller": ("Caller",),
    "completions_mw.core.budgets.budgets": ("BudgetAlert",),
    "completions_mw.core.cache.cache": ("CacheStats",),
    "completions_mw.core.keys.service": ("KeyNotFoundError",),
    "completions_mw.core.keys.secrets": ("NewKey",),
    "completions_mw.core.ports": ("Balance", "KeyExistsError", "KeyRecord", "StoreError", "UsageRow"),
    "completions_mw.core.resilience.store_health": ("StoreSnapshot",),
    "completions_mw.core.telemetry.log": ("JsonFormatter",),
    "completions_mw.errors": (
        "AuthenticationError",
        "BudgetExceededError",
        "ClientDisconnectedError",
        "ConfigurationError",
        "GatewayError",
        "HeadersTooLargeError",
        "InternalError",
        "InvalidRequestError",
        "LengthRequiredError",
        "MethodNotAllowedError",
        "NotCachedError",
        "NotFoundError",
        "PermissionDeniedError",
        "RateLimitError",
        "RequestTimeoutError",
        "RequestTooLargeError",
        "ServiceUnavailableError",
        "UnsupportedMediaTypeError",
        "UpstreamError",
        "UpstreamTimeoutError",
    ),
    "completions_mw.gateway": ("AsyncGateway", "Gateway", "GatewayOptions"),
    "completions_mw.http": ("Request", "Response"),
    "completions_mw.schemas": (
        "ChatCompletion",
        "ChatCompletionChunk",
        "ChatRequest",
        "EmbeddingRequest",
        "EmbeddingResponse",
        "Explanation",
    ),
    "completions_mw.settings": ("Budget", "Limits", "Settings"),
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Loaded on first use: importing pydantic takes ten times as long as all else, and an app may only want to know the version.
        for module, names in _MODULES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
