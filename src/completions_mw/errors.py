"""Every error that a caller can get, named as in OpenAI's SDKs, and its form on the wire.

    GatewayError
    ├── InvalidRequestError         400
    ├── AuthenticationError         401
    ├── PermissionDeniedError       403
    ├── NotFoundError               404
    ├── MethodNotAllowedError       405
    ├── RequestTimeoutError         408
    ├── LengthRequiredError         411
    ├── RequestTooLargeError        413
    ├── UnsupportedMediaTypeError   415
    ├── RateLimitError              429
    │   └── BudgetExceededError     429
    ├── HeadersTooLargeError        431
    ├── ClientDisconnectedError     499  (only in logs: the client has left)
    ├── InternalError               500
    ├── UpstreamError               502
    ├── ServiceUnavailableError     503
    ├── UpstreamTimeoutError        504
    └── NotCachedError              504

    ConfigurationError (a ValueError): settings that cannot work; raised at construction, never by a request

Over HTTP, the pipeline turns every GatewayError into OpenAI's error envelope (docs/contract.md, Errors). Direct calls raise them.
"""

from typing import Any, ClassVar, Final, Literal, TypedDict

from pydantic_core import to_json

from completions_mw.http import Headers, Response

NO_RETRY_HEADERS: Final = (("x-should-retry", "false"),)
"""Headers that stop the retries of OpenAI's SDKs where a retry cannot succeed (docs/contract.md, Client retries)."""
MAX_RETRY_MS: Final = 60_000
"""Longest `retry-after-ms` that is sent: openai-node waits as long as the header says, even a day (docs/contract.md, Client retries)."""
_MAX_NAME_CHARS: Final = 256
ErrorSource = Literal["gateway", "upstream"]
"""Who did not answer: this server, or the model's provider; a model in this process counts as its own provider."""


class GatewayError(Exception):
    """A request that was not answered.

    Args:
        message: text for the developer of the client. It never holds a secret or a whole value of the request.
        param: path of the parameter at fault, such as `messages[0].content`; None for the request as a whole.
        code: code of the error; by default that of the class.
        type: type of the error; by default that of the class.
        headers: further response headers, such as `retry-after`.
    """

    status: ClassVar[int] = 500
    type: str = "server_error"
    code: str | None = None
    source: ErrorSource = "gateway"
    """Who refused the request or failed: the gateway, or the upstream. Clients get it as the header `x-completions-error-source`."""
    next_target: bool = False
    """Whether the model's next target may answer instead: nothing was sent to the client, and no upstream is still answering."""
    received: int | None = None
    """Bytes received of an answer that was cut off, else None. The provider bills such an answer, so it is charged by an estimate."""
    maybe_billed: bool = False
    """Whether the provider may bill the request, which was sent and has no answer that can be used (docs/promises.md, Money)."""
    usage: Any = None
    """The `usage` object that the upstream reported beside its error, as it came; None if it reported none."""
    upstream_status: int | None = None
    """HTTP status of the upstream's answer, for the log; None if no upstream answered."""
    target: str | None = None
    """`provider/model` of the target that failed or refused the request, for the log and for direct calls; None if there is none."""
    upstream_key: int | None = None
    """Position of the API key that the upstream was sent, from 1 on, for the log; None if its provider has only one."""
    model: str | None = None
    """Model name in a request that was refused before the model was looked up, for the log."""
    upstream_code: str | None = None
    """Error code of the upstream, for the log, without secrets and at most 200 characters; None if the upstream gave none."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = headers
        if code is not None:
            self.code = code
        if type is not None:
            self.type = type

    @property
    def retry_after(self) -> float | None:
        """Seconds after which a retry may succeed; None if unknown, or if no retry can succeed (docs/contract.md, Client retries)."""
        headers = dict(self.headers)
        if headers.get("x-should-retry") == "false":
            return None
        milliseconds, seconds = headers.get("retry-after-ms"), headers.get("retry-after")
        try:
            return float(milliseconds) / 1000 if milliseconds else float(seconds) if seconds else None
        except ValueError:
            # A function of the host app may have set any text.
            return None


class InvalidRequestError(GatewayError):
    """The request is invalid (docs/contract.md, Validation)."""

    status = 400
    type = "invalid_request_error"


class AuthenticationError(GatewayError):
    """The request has no API key, or one that is unknown, disabled or expired."""

    status = 401
    type = "invalid_request_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code, headers=(("www-authenticate", "Bearer"),))


class PermissionDeniedError(GatewayError):
    """The caller is known, and is not allowed to do this."""

    status = 403
    type = "invalid_request_error"


class NotFoundError(GatewayError):
    """The path does not exist, or the model does not exist for this caller."""

    status = 404
    type = "invalid_request_error"


class MethodNotAllowedError(GatewayError):
    """The path exists, and does not take this HTTP method."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_supported"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message, headers=(("allow", allow),))


class RequestTimeoutError(GatewayError):
    """The client did not send its body, or did not take its answer, in time."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class LengthRequiredError(GatewayError):
    """The body is chunked, and the server of the host app does not support that."""

    status = 411
    type = "invalid_request_error"
    code = "length_required"


class RequestTooLargeError(GatewayError):
    """The body has more bytes than the setting `max_body_bytes` allows."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class UnsupportedMediaTypeError(GatewayError):
    """The body is not plain JSON in UTF-8."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class RateLimitError(GatewayError):
    """A rate limit of the caller or of the upstream was reached."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"
    next_target = True


class BudgetExceededError(RateLimitError):
    """The budget of the key, caller or tenant is spent. A retry cannot succeed before the next period."""

    type = "insufficient_quota"
    code = "insufficient_quota"


class HeadersTooLargeError(GatewayError):
    """The request's headers are too large."""

    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"


class ClientDisconnectedError(GatewayError):
    """The client left before its answer was complete."""

    status = 499
    code = "client_disconnected"

    def __init__(self) -> None:
        super().__init__("The client closed the connection.")


class InternalError(GatewayError):
    """A fault of the gateway or of a function of the host app. The text is fixed; the log has the cause, under the request id."""

    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("The server had an error while processing your request. Sorry about that!")


class UpstreamError(GatewayError):
    """The provider failed, or sent an answer that cannot be used."""

    status = 502
    code = "upstream_error"
    source = "upstream"
    next_target = True


class ServiceUnavailableError(GatewayError):
    """A store or model that the request needs is down or overloaded. A retry may succeed."""

    status = 503
    next_target = True


class UpstreamTimeoutError(GatewayError):
    """The provider did not answer in time. It may still be answering, and bill the answer, unless the connection failed."""

    status = 504
    code = "upstream_timeout"
    source: ErrorSource = "upstream"


class NotCachedError(GatewayError):
    """The client wants a cached answer only, by `Cache-Control: only-if-cached`, and there is none (docs/caching.md)."""

    status = 504
    code = "not_cached"

    def __init__(self) -> None:
        super().__init__("There is no cached answer to this request, and it asks for a cached one only.", headers=NO_RETRY_HEADERS)


class ConfigurationError(ValueError):
    """Settings that cannot work. The message names each wrong field."""


class ErrorObject(TypedDict):
    """The object `error` of the envelope: always exactly these four members (docs/contract.md, Errors)."""

    message: str
    type: str
    param: str | None
    code: str | None


def error_body(error: GatewayError) -> dict[str, ErrorObject]:
    """Return `error` in the error envelope of OpenAI's API."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def error_response(error: GatewayError) -> Response[Any]:
    """Return the HTTP response for `error`. What the provider may bill already is not to be repeated without anybody's knowledge."""
    headers = error.headers
    if (error.maybe_billed or error.received is not None) and "x-should-retry" not in dict(headers):
        headers = (*headers, *NO_RETRY_HEADERS)
    return Response(
        status=error.status,
        headers=(("content-type", "application/json"), ("x-completions-error-source", error.source), *headers),
        body=to_json(error_body(error)),
    )


def retry_headers(wait_ms: int) -> Headers:
    """Return the headers that advise a client to retry after `wait_ms`, or not to retry if a client should not wait that long."""
    # The SDKs ignore 0 and choose a delay of their own.
    soon = min(max(wait_ms, 1), MAX_RETRY_MS)
    headers = (("retry-after", str(-(-soon // 1000))), ("retry-after-ms", str(soon)))
    # A retry after the longest delay that is sent would be refused again.
    return (*headers, *NO_RETRY_HEADERS) if wait_ms > soon else headers


def overloaded_error() -> ServiceUnavailableError:
    """Return the error for a request that waited in vain for something of which this process has a limited number."""
    return ServiceUnavailableError("Too many requests are under way. Please try again.", code="overloaded", headers=(("retry-after", "1"),))


def server_shutdown_error() -> ServiceUnavailableError:
    """Return the error for a request that the server cut off when it stopped."""
    error = ServiceUnavailableError("The server stopped before the answer was complete.", code="server_shutdown")
    error.maybe_billed = True
    return error


def shown_name(name: str) -> str:
    """Return the name of a model or tenant as error texts show it: at most 256 characters, and valid Unicode."""
    return name[:_MAX_NAME_CHARS].encode("utf-8", "replace").decode()
