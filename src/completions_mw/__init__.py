"""An OpenAI-compatible chat completions endpoint inside the web app that you already run.

    from completions_mw import Gateway, Settings

    gateway = Gateway(Settings.from_toml("completions.toml"))
    answer = gateway.complete(model="gpt-3.5-turbo", messages=[{"role": "user", "content": "Hello!"}])

To mount it, see `completions_mw.adapters`: wsgi, asgi, flask, django, starlette, fastapi.
"""

from completions_mw.core.auth import Caller
from completions_mw.errors import (
    AuthenticationError,
    BudgetExceededError,
    ClientDisconnectedError,
    ConfigurationError,
    GatewayError,
    HeadersTooLargeError,
    InternalError,
    InvalidRequestError,
    MethodNotAllowedError,
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
from completions_mw.gateway import AsyncGateway, Gateway
from completions_mw.http import Request, Response
from completions_mw.schemas import ChatCompletion, ChatCompletionChunk, ChatRequest
from completions_mw.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "AsyncGateway",
    "AuthenticationError",
    "BudgetExceededError",
    "Caller",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatRequest",
    "ClientDisconnectedError",
    "ConfigurationError",
    "Gateway",
    "GatewayError",
    "HeadersTooLargeError",
    "InternalError",
    "InvalidRequestError",
    "MethodNotAllowedError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "Request",
    "RequestTimeoutError",
    "RequestTooLargeError",
    "Response",
    "ServiceUnavailableError",
    "Settings",
    "UnsupportedMediaTypeError",
    "UpstreamError",
    "UpstreamTimeoutError",
]
